import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce } from '../../base/async/in-turns.ts';
import { digestOf } from '../../base/digest.ts';
import { contentKey, recordDigest, rootKey } from '../../solver/cache-key.ts';
import type { KeyId } from '../../solver/key-store.ts';
import type { CacheConfig, ConfigRecord } from '../config/cache-config.ts';
import { ImportedKeys } from './imported-keys.ts';

const selector = digestOf('/etc');
const root = recordDigest(digestOf('source'), 0);
const content = contentKey(digestOf('files'));

function record(name: string, inputs: ConfigRecord['inputs'], layer?: number): ConfigRecord {
  const results =
    layer === undefined
      ? []
      : [{ layers: { kind: 'chain', top: layer } as const, createdAt: new Date(layer * 1000) }];
  return { digest: recordDigest(digestOf(name), 0), inputs, results };
}

const rootRecord: ConfigRecord = { digest: root, inputs: [], results: [] };

function keysOf(records: readonly ConfigRecord[], usable = true): ImportedKeys {
  const config: CacheConfig = { layers: [], records };
  return atOnce(ImportedKeys.of(config, () => usable));
}

const link = (from: KeyId, name: string, over: object = {}) => ({
  from,
  operation: digestOf(name),
  output: 0,
  input: 0,
  selector: undefined,
  ...over,
});

test('a step is found by its inputs, with their selectors, wherever its record stands', async () => {
  const keys = keysOf([
    record('late', [[{ selector: '', record: 2 }]], 2),
    rootRecord,
    record('step', [[{ selector, record: 1 }]], 1),
  ]);
  const from = rootKey(digestOf('source'), 0);
  const [step, ...others] = await keys.targets([
    link(from, 'step', { selector }),
    link(from, 'step'),
    link(from, 'step', { selector, input: 1 }),
    link(from, 'step', { selector, output: 1 }),
    link(from, 'another', { selector }),
  ]);
  assert.equal(step!.length, 1);
  assert.deepEqual(others, [[], [], [], []]);
  const [late] = await keys.targets([link(step![0]!, 'late')]);
  assert.equal((await keys.results(late!))[0]!.createdAt.getTime(), 2000);
  assert.deepEqual(
    (await keys.results([...step!, ...late!])).map(({ createdAt }) => createdAt.getTime()),
    [2000, 1000],
    'the newest first',
  );
  assert.deepEqual(keys.result((await keys.results(step!))[0]!.id)?.layers, { kind: 'chain', top: 1 });
});

test('keys of different caches are equal only if all that leads to them is', async () => {
  const idOf = async (inputs: ConfigRecord['inputs'], more: readonly ConfigRecord[] = []) => {
    const keys = keysOf([rootRecord, ...more, record('step', inputs)]);
    const { record: from, selector: by } = inputs[0]![0]!;
    assert.equal(from, 0);
    const [found] = await keys.targets([
      link(rootKey(digestOf('source'), 0), 'step', { selector: by || undefined }),
    ]);
    return found![0];
  };
  const plain = await idOf([[{ selector: '', record: 0 }]]);
  assert.equal(await idOf([[{ selector: '', record: 0 }]], [record('unrelated', [])]), plain);
  const contentRecord = { digest: digestOf('other'), inputs: [], results: [] };
  const different = [
    await idOf([[{ selector, record: 0 }]]),
    await idOf(
      [
        [
          { selector: '', record: 0 },
          { selector: '', record: 1 },
        ],
      ],
      [contentRecord],
    ),
    await idOf([[{ selector: '', record: 0 }], [{ selector: '', record: 0 }]]),
  ];
  assert.equal(new Set([plain, ...different]).size, 4);
});

test('the ways from contents to a step are told', async () => {
  const keys = keysOf([
    rootRecord,
    { digest: contentKeyText(), inputs: [], results: [] },
    record('step', [
      [
        { selector: '', record: 0 },
        { selector: '', record: 1 },
      ],
    ]),
    record('next', [[{ selector: '', record: 2 }]]),
  ]);
  const [step] = await keys.targets([link(content, 'step')]);
  assert.deepEqual(await keys.waysFromRecords(step![0]!), [
    { from: root, input: 0, selector: undefined },
    { from: content, input: 0, selector: undefined },
  ]);
  const [next] = await keys.targets([link(step![0]!, 'next')]);
  assert.deepEqual(await keys.waysFromRecords(next![0]!), []);
});

test('results whose layers cannot be had are no results', async () => {
  const keys = keysOf([record('step', [], 1)], false);
  assert.deepEqual(await keys.results([rootKey(digestOf('step'), 0)]), []);
});

function contentKeyText() {
  return recordDigest(digestOf('files'), -1);
}
