import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import type { Op } from '../../llb/op.ts';
import { describeOnSnapshotters, type RestartableStore } from '../../ref/testing/restartable-store.ts';
import { type KeptStep, KeptSteps } from './kept-steps.ts';

const op: Op = { inputs: [], action: { kind: 'merge', inputs: [] } };
const hour = 3_600_000;

async function failedStep(store: RestartableStore, name: string, opSize = 100): Promise<KeptStep> {
  const tree = await store.refStore.createMutable(undefined, { description: name });
  const ref = await tree.commit('failed.step');
  const { id } = ref;
  await ref.release();
  return { vertex: digestOf(name), name, op, opSize, inputs: [], mounts: [id], made: [id] };
}

/** Fails a build, as the engine does: trees are wanted until it is decided what becomes of them. */
function fail(kept: KeptSteps, ref: string, steps: readonly KeptStep[], cause?: string): void {
  using _ = kept.want(steps.flatMap(({ made }) => made));
  kept.add(ref, steps, cause, 'usual');
}

describeOnSnapshotters('failed steps', (store) => {
  test('are kept up to a number, and the trees of the others are removed', async () => {
    using kept = new KeptSteps({ trees: store.refStore, keepFor: hour });
    for (let build = 0; build < 40; build++) {
      fail(kept, `build-${build}`, [await failedStep(store, `step ${build}`)]);
    }
    assert.equal(kept.builds().length, 32);
    assert.equal(kept.builds()[0]!.ref, 'build-8');
    assert.equal((await store.diskUsage.list(['type==failed.step'])).length, 32);
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, step) => failedStep(store, `of many ${step}`)),
    );
    fail(kept, 'many', many, many[15]!.vertex);
    const { steps, cause } = kept.builds().at(-1)!;
    assert.equal(cause, many[15]);
    assert.deepEqual(steps, [...many.slice(0, 7), many[15]]);
    assert.equal((await store.diskUsage.list(['type==failed.step'])).length, 32);
  });

  test('do not take more memory than they may', async () => {
    using kept = new KeptSteps({ trees: store.refStore, keepFor: hour });
    for (const name of ['one', 'two', 'three']) fail(kept, name, [await failedStep(store, name, 7 << 20)]);
    assert.deepEqual(
      kept.builds().map(({ ref }) => ref),
      ['two', 'three'],
    );
  });

  test('share trees, which go with the last that has them, and not while somebody holds them', async () => {
    using kept = new KeptSteps({ trees: store.refStore, keepFor: hour });
    const step = await failedStep(store, 'shared');
    fail(kept, 'one', [step]);
    fail(kept, 'two', [step]);
    const held = await kept.tree(step.made[0]!);
    fail(kept, 'one', [await failedStep(store, 'other')]);
    assert.equal((await store.diskUsage.list()).length, 2);
    kept[Symbol.dispose]();
    assert.deepEqual(
      (await store.diskUsage.list()).map(({ description, inUse }) => [description, inUse]),
      [['shared', true]],
    );
    await held.release();
    assert.deepEqual(await store.diskUsage.list(), []);
  });

  test('go when their time is over, when they are pruned, and with a restart', async () => {
    using brief = new KeptSteps({ trees: store.refStore, keepFor: 1 });
    fail(brief, 'brief', [await failedStep(store, 'brief')]);
    while ((await store.diskUsage.list()).length > 0) await new Promise(setImmediate);
    assert.deepEqual(brief.builds(), []);

    using kept = new KeptSteps({ trees: store.refStore, keepFor: hour });
    fail(kept, 'pruned', [await failedStep(store, 'pruned')]);
    for await (const _ of store.diskUsage.prune({}));
    assert.throws(() => kept.find('', ''), { code: 'not_found', message: 'no failed step is kept' });

    await failedStep(store, 'before');
    await store.restart();
    assert.deepEqual(await store.diskUsage.list(), []);
  });

  test('are kept only for whom they are meant, whatever the time says', async () => {
    for (const keepFor of [0, -1, Number.NaN]) {
      using off = new KeptSteps({ trees: store.refStore, keepFor });
      assert.deepEqual([off.keeps('usual'), off.keeps('asked'), off.keeps('not')], [false, true, false]);
    }
    using endless = new KeptSteps({ trees: store.refStore, keepFor: Number.POSITIVE_INFINITY });
    fail(endless, 'long', [await failedStep(store, 'long')]);
    assert.ok(Number.isFinite(endless.builds()[0]!.keptUntil.getTime()));
  });

  test('are found by what builds and steps begin with, if that is one', async () => {
    using kept = new KeptSteps({ trees: store.refStore, keepFor: hour });
    const steps = await Promise.all(['a', 'b'].map((name) => failedStep(store, name)));
    fail(kept, 'abc1', steps, steps[0]!.vertex);
    fail(kept, 'abc2', [await failedStep(store, 'c')]);
    fail(kept, 'abc', [await failedStep(store, 'd')]);
    const name = (ref: string, step: string) => kept.find(ref, step).step.name;
    assert.deepEqual(
      [name('', ''), name('abc', ''), name('abc1', ''), name('abc1', '2'), name('abc1', steps[1]!.vertex)],
      ['d', 'd', 'a', 'b', 'b'],
    );
    assert.throws(() => name('ab', ''), { code: 'invalid_argument', message: /more than one build/ });
    assert.throws(() => name('abc1', 'sha256:'), { code: 'invalid_argument', message: /more than one step/ });
    for (const step of ['0', '3', '99', 'x', '-1', '__proto__']) {
      assert.throws(() => name('abc1', step), { code: 'not_found' }, step);
    }
    assert.throws(() => name('x', ''), { code: 'not_found' });
  });
});
