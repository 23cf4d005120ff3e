import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { contentKey, derivedKey, rootKey } from '../solver/cache-key.ts';
import type { KeyId, KeyLink, KeyStore } from '../solver/key-store.ts';

const key = (name: string): KeyId => rootKey(digestOf(name), 0);

function link(from: KeyId, name: string, over: Partial<KeyLink> = {}): KeyLink {
  return { from, operation: digestOf(name), output: 0, input: 0, selector: undefined, ...over };
}

const result = (id: string, time: number) => ({ id, createdAt: new Date(time) });

async function idsOf(store: KeyStore): Promise<string[]> {
  const ids: string[] = [];
  for await (const id of store.resultIds()) ids.push(id);
  return ids.sort();
}

export interface OpenKeyStore extends Disposable {
  readonly store: KeyStore;
}

/** Tests what every key store does. `open` returns an empty one. */
export function keyStoreSuite(name: string, open: () => OpenKeyStore): void {
  describe(name, () => {
    it('answers each link with its targets, in the order asked', async () => {
      using opened = open();
      const { store } = opened;
      const base = key('base');
      const run = link(base, 'run');
      await store.commit({
        links: [
          { ...run, to: key('a') },
          { ...run, to: key('b') },
          { ...link(base, 'copy'), to: key('c') },
        ],
      });
      const [none, two, one] = await store.targets([link(base, 'other'), run, link(base, 'copy')]);
      assert.deepEqual(none, []);
      assert.deepEqual([...two!].sort(), [key('a'), key('b')].sort());
      assert.deepEqual(one, [key('c')]);
    });

    it('tells how records lead to a key', async () => {
      using opened = open();
      const { store } = opened;
      const derived = derivedKey(digestOf('run'), 0, [{ id: key('base'), selector: undefined }]);
      const links = [
        link(key('base'), 'run', { selector: digestOf('/etc') }),
        link(contentKey(digestOf('base')), 'run', { input: 2, output: 1 }),
        link(derived, 'run', { input: 3 }),
      ];
      await store.commit({
        links: [...links.map((each) => ({ ...each, to: key('step') })), { ...links[0]!, to: key('another') }],
      });
      const ways = await store.waysFromRecords(key('step'));
      assert.deepEqual(
        ways.toSorted((a, b) => a.input - b.input),
        links.slice(0, 2).map(({ from, input, selector }) => ({ from, input, selector })),
      );
      assert.deepEqual(await store.waysFromRecords(key('base')), []);
    });

    it('tells links apart by every one of their parts', async () => {
      using opened = open();
      const { store } = opened;
      const base = key('base');
      const selector = digestOf('/etc');
      const variants = [
        link(base, 'run'),
        link(key('other'), 'run'),
        link(contentKey(digestOf('base')), 'run'),
        link(base, 'run', { output: 1 }),
        link(base, 'run', { input: 1 }),
        link(base, 'run', { selector }),
        link(base, 'run', { selector: digestOf('/usr') }),
      ];
      await store.commit({
        links: variants.map((variant, position) => ({ ...variant, to: key(String(position)) })),
      });
      assert.deepEqual(
        await store.targets(variants),
        variants.map((_, position) => [key(String(position))]),
      );
    });

    it('answers results newest first and each once, whichever keys have them', async () => {
      using opened = open();
      const { store } = opened;
      await store.commit({
        results: [
          { key: key('a'), result: result('old', 1000) },
          { key: key('a'), result: result('new', 3000) },
          { key: key('b'), result: result('middle', 2000) },
          { key: key('b'), result: result('new', 3000) },
        ],
      });
      assert.deepEqual(await store.results([key('a'), key('b'), key('unknown')]), [
        result('new', 3000),
        result('middle', 2000),
        result('old', 1000),
      ]);
    });

    it('keeps what it has when the same is committed again', async () => {
      using opened = open();
      const { store } = opened;
      const change = {
        links: [{ ...link(key('base'), 'run'), to: key('a') }],
        results: [{ key: key('a'), result: result('r', 1000) }],
      };
      await store.commit(change);
      await store.commit({ ...change, results: [{ key: key('a'), result: result('r', 9000) }] });
      assert.deepEqual(await store.targets([link(key('base'), 'run')]), [[key('a')]]);
      assert.deepEqual(await store.results([key('a')]), [result('r', 1000)]);
      await store.dropResult('r');
      assert.deepEqual(await store.targets([link(key('base'), 'run')]), [[]]);
    });

    it('takes many commits at once', async () => {
      using opened = open();
      const { store } = opened;
      const numbers = Array.from({ length: 200 }, (_, number) => number);
      await Promise.all(
        numbers.map((number) =>
          store.commit({ results: [{ key: key('a'), result: result(`r${number}`, number) }] }),
        ),
      );
      assert.equal((await store.results([key('a')])).length, numbers.length);
    });

    it('forgets a dropped result under every key', async () => {
      using opened = open();
      const { store } = opened;
      await store.commit({
        results: [
          { key: key('a'), result: result('gone', 1000) },
          { key: key('b'), result: result('gone', 1000) },
          { key: key('b'), result: result('kept', 1000) },
        ],
      });
      await store.dropResult('gone');
      await store.dropResult('never there');
      assert.deepEqual(await store.results([key('a')]), []);
      assert.deepEqual(await store.results([key('b')]), [result('kept', 1000)]);
      assert.deepEqual(await idsOf(store), ['kept']);
    });

    it('drops the links that lead to no result any more, and only those', async () => {
      using opened = open();
      const { store } = opened;
      const [base, middle, end, side] = [key('base'), key('middle'), key('end'), key('side')];
      const toMiddle = link(base, 'run 1');
      const toEnd = link(middle, 'run 2');
      const toSide = link(base, 'run 3');
      await store.commit({
        links: [
          { ...toMiddle, to: middle },
          { ...toEnd, to: end },
          { ...toSide, to: side },
        ],
        results: [
          { key: middle, result: result('m', 1000) },
          { key: end, result: result('e', 1000) },
          { key: side, result: result('s', 1000) },
        ],
      });
      await store.dropResult('m');
      assert.deepEqual(await store.targets([toMiddle, toEnd]), [[middle], [end]], 'the way to e remains');
      await store.dropResult('e');
      assert.deepEqual(await store.targets([toMiddle, toEnd, toSide]), [[], [], [side]]);
    });

    it('drops a chain of 20,000 links that led to one result', async () => {
      using opened = open();
      const { store } = opened;
      const keys = Array.from({ length: 20_001 }, (_, number) => `key ${number}` as KeyId);
      const links = keys.slice(1).map((to, position) => ({ ...link(keys[position]!, 'run'), to }));
      await store.commit({ links, results: [{ key: keys.at(-1)!, result: result('end', 1000) }] });
      await store.dropResult('end');
      assert.deepEqual(await store.targets([links[0]!, links[10_000]!, links.at(-1)!]), [[], [], []]);
    });

    it('walks over every result id once', async () => {
      using opened = open();
      const { store } = opened;
      const ids = Array.from({ length: 2500 }, (_, number) => `r${String(number).padStart(5, '0')}`);
      await store.commit({
        results: ids.flatMap((id) => [
          { key: key('a'), result: result(id, 1000) },
          { key: key('b'), result: result(id, 1000) },
        ]),
      });
      assert.deepEqual(await idsOf(store), ids);
    });
  });
}
