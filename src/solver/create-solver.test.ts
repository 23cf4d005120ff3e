import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deferred } from '../base/async/lifetime.ts';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { contentKey } from './cache-key.ts';
import type { CacheSource } from './solver.ts';
import type { CountedResult } from './testing/counted-results.ts';
import { gate } from './testing/gate.ts';
import { type RigJob, SolverRig, type TestContext, whole } from './testing/solver-rig.ts';
import { TestKeyStore } from './testing/test-key-store.ts';

const codeOf = (code: string) => (error: unknown) => error instanceof KilnError && error.code === code;

describe('finding results by definition', () => {
  it('executes a graph once and loads only the end of it the next time', async () => {
    await using rig = new SolverRig();
    const source = rig.step('source');
    const left = rig.step('left', { inputs: [source] });
    const right = rig.step('right', { inputs: [source] });
    const end = rig.step('end', { inputs: [left, right] });
    assert.deepEqual(await rig.build(end).then(({ cached }) => cached), false);
    assert.deepEqual(rig.takeExecuted(), ['source', 'left', 'right', 'end']);
    const again = await rig.build(end);
    assert.equal(again.cached, true);
    assert.equal(again.content, 'end(left(source()),right(source()))');
    assert.deepEqual(rig.takeExecuted(), []);
  });

  it('never runs what the requested edge does not need', async () => {
    await using rig = new SolverRig();
    const used = rig.step('used');
    const job = rig.job();
    await job.build(used);
    rig.step('unused');
    await job.close();
    assert.deepEqual(rig.takeExecuted(), ['used']);
  });

  it('finds the end although every result before it is gone', async () => {
    await using rig = new SolverRig();
    const end = rig.step('end', { inputs: [rig.step('middle', { inputs: [rig.step('source')] })] });
    await rig.build(end);
    rig.takeExecuted();
    rig.results.prune((content) => !content.startsWith('end'));
    assert.equal((await rig.build(end)).cached, true);
    assert.deepEqual(rig.takeExecuted(), []);
  });

  it('takes a result that is gone as a miss, forgets it, and runs as little as possible', async () => {
    await using rig = new SolverRig();
    const end = rig.step('end', { inputs: [rig.step('middle', { inputs: [rig.step('source')] })] });
    await rig.build(end);
    rig.takeExecuted();
    rig.results.prune((content) => content.startsWith('end'));
    assert.equal((await rig.build(end)).cached, false);
    assert.deepEqual(rig.takeExecuted(), ['end']);
    assert.equal(rig.keys.dropped.length, 1);
  });

  it('tells apart outputs, input positions and selectors', async () => {
    await using rig = new SolverRig();
    const two = rig.step('two', { run: () => ['first', 'second'] });
    const first = { vertex: two, index: 0 };
    const second = { vertex: two, index: 1 };
    const build = (inputs: readonly (typeof first)[], selector?: string) =>
      rig.build(rig.step('use', { inputs, cacheInputs: inputs.map(() => ({ selector })) }));
    assert.equal((await build([first, second])).content, 'use(first,second)');
    assert.equal((await build([second, first])).content, 'use(second,first)');
    assert.equal((await build([first, first])).content, 'use(first,first)');
    rig.takeExecuted();
    assert.equal((await build([second, first])).cached, true);
    assert.deepEqual(rig.takeExecuted(), []);
    // Two definitions that differ by what they select only: their operation and inputs are the same.
    const select = (name: string) =>
      rig.step(name, {
        operation: 'select',
        inputs: [first],
        cacheInputs: [{ selector: name }],
        run: () => [name],
      });
    assert.equal((await rig.build(select('/etc'))).content, '/etc');
    assert.equal((await rig.build(select('/usr'))).content, '/usr');
  });

  it('finds a source, and what was built on it, by any of its identities', async () => {
    await using rig = new SolverRig();
    const end = (name: string, alternatives: readonly string[]) =>
      rig.step('end', {
        inputs: [rig.step(name, { alternatives, run: () => ['files'] })],
      });
    await rig.build(end('blobs', ['manifest', 'layers']));
    rig.takeExecuted();
    for (const [name, ...alternatives] of [['manifest'], ['other', 'layers'], ['layers', 'other']])
      assert.equal((await rig.build(end(name!, alternatives))).cached, true);
    assert.deepEqual(rig.takeExecuted(), []);
    assert.equal((await rig.build(end('third', ['fourth']))).cached, false);
    assert.deepEqual(rig.takeExecuted(), ['third', 'end']);
    // It was found by another identity, and is known by all of its own from then on.
    assert.equal((await rig.build(end('other', []))).cached, true);
    assert.deepEqual(rig.takeExecuted(), []);
  });

  it('keeps every output of an execution, also those nobody asked for', async () => {
    await using rig = new SolverRig();
    const two = rig.step('two', { inputs: [rig.step('source')], run: () => ['first', 'second'] });
    await rig.build({ vertex: two, index: 0 });
    rig.takeExecuted();
    assert.deepEqual(await rig.build({ vertex: two, index: 1 }), { content: 'second', cached: true });
    assert.deepEqual(rig.takeExecuted(), []);
  });

  it('fails when an output is asked for that the operation does not have', async () => {
    await using rig = new SolverRig();
    await assert.rejects(rig.build({ vertex: rig.step('one'), index: 3 }), codeOf('internal'));
  });

  it('has a failing look-up for a miss and a warning', async () => {
    await using rig = new SolverRig();
    const end = rig.step('end', { inputs: [rig.step('source')] });
    await rig.build(end);
    rig.keys.beforeAnswer = () => {
      throw new KilnError('unavailable', 'the store is away');
    };
    const job = rig.job();
    assert.equal((await job.build(end)).content, 'end(source())');
    await job.close();
    assert(job.events.warnings.some(({ short }) => short.includes('the store is away')));
  });
});

describe('finding results by content', () => {
  /** Two stages with the same output, as when only a comment has changed. */
  const stages = (rig: SolverRig) =>
    ['stage', 'stage with a comment'].map((name) => rig.step(name, { run: () => ['same output'] }));

  it('does not rebuild what copies from a stage whose output is the same', async () => {
    await using rig = new SolverRig();
    const [before, after] = stages(rig);
    const copy = (stage: typeof before) => rig.step('copy', { inputs: [stage!], cacheInputs: [whole] });
    const end = (stage: typeof before) => rig.step('end', { inputs: [copy(stage)] });
    await rig.build(end(before));
    rig.takeExecuted();
    assert.equal((await rig.build(end(after))).cached, true);
    assert.deepEqual(rig.takeExecuted(), ['stage with a comment']);
    // Now the definition alone leads there: not even the stage is looked into.
    rig.results.prune((content) => content === 'same output');
    assert.equal((await rig.build(end(after))).cached, true);
    assert.deepEqual(rig.takeExecuted(), []);
  });

  it('computes no input when definitions lead to a result', async () => {
    await using rig = new SolverRig();
    let reads = 0;
    const copy = rig.step('copy', {
      inputs: [rig.step('source')],
      cacheInputs: [{ reads: (content) => `${content}${++reads}` }],
    });
    await rig.build(copy);
    assert.equal(reads, 1);
    await rig.build(copy);
    assert.equal(reads, 1);
  });

  it('never trusts the definition of an input that counts by content only', async () => {
    await using rig = new SolverRig();
    let files = 'v1';
    const local = () => rig.step('local', { ignoreCache: true, run: () => [files] });
    const copy = () =>
      rig.step('copy', {
        inputs: [local(), rig.step('base')],
        cacheInputs: [{ reads: (content) => content, contentOnly: true }, {}],
      });
    const end = () => rig.step('end', { inputs: [copy()] });
    await rig.build(end());
    rig.takeExecuted();
    assert.equal((await rig.build(end())).cached, true);
    assert.deepEqual(rig.takeExecuted(), ['local']);
    files = 'v2';
    assert.equal((await rig.build(end())).content, 'end(copy(v2,base()))');
    assert.deepEqual(rig.takeExecuted(), ['local', 'copy', 'end']);
    files = 'v1';
    assert.equal((await rig.build(end())).content, 'end(copy(v1,base()))');
    assert.deepEqual(rig.takeExecuted(), ['local']);
  });

  it('runs vertices once that are equal by content while both are running', async () => {
    await using rig = new SolverRig();
    const step = gate();
    const copies = stages(rig).map((stage, number) =>
      rig.step(`copy ${number}`, { operation: 'copy', inputs: [stage], cacheInputs: [whole], run: step.run }),
    );
    const [first, second] = [rig.job(), rig.job()];
    const one = first.build(copies[0]!);
    await step.reached;
    const other = second.build(copies[1]!);
    while (!rig.solver.inspect().some(({ state }) => state.includes('following copy 0')))
      await new Promise(setImmediate);
    // The job whose vertex runs goes away: the other one needs it still.
    const gone = assert.rejects(one, codeOf('canceled'));
    await first.close();
    await gone;
    step.open();
    const { content, cached } = await other;
    assert.deepEqual({ content, cached }, { content: 'gated(same output)', cached: false });
    await second.close();
    assert.deepEqual(second.events.lifeOf('copy 1'), ['announced', 'started', 'completed']);
    assert.deepEqual(
      rig.takeExecuted().filter((name) => name.startsWith('copy')),
      ['copy 0'],
    );
  });

  it('fails a vertex that has followed another with the same error, naming itself', async () => {
    await using rig = new SolverRig();
    const opened = deferred<void>();
    const run = async () => {
      await opened.promise;
      throw new KilnError('unknown', 'exit code: 1');
    };
    const copies = stages(rig).map((stage, number) =>
      rig.step(`copy ${number}`, { operation: 'copy', inputs: [stage], cacheInputs: [whole], run }),
    );
    const job = rig.job();
    const builds = copies.map((copy) => job.build(copy));
    const outcomes = Promise.allSettled(builds);
    while (!rig.solver.inspect().some(({ state }) => state.includes('following')))
      await new Promise(setImmediate);
    opened.resolve();
    for (const [position, outcome] of (await outcomes).entries()) {
      assert(outcome.status === 'rejected' && outcome.reason instanceof KilnError);
      assert.equal(outcome.reason.message, 'exit code: 1');
      assert.deepEqual(outcome.reason.details, [{ kind: 'vertex', digest: copies[position]!.digest }]);
    }
    await job.close();
    assert.equal(rig.executed.filter((name) => name.startsWith('copy')).length, 1);
  });

  it('fails the vertex that reads when what it reads does not exist', async () => {
    await using rig = new SolverRig();
    const copy = rig.step('copy', {
      inputs: [rig.step('source')],
      cacheInputs: [
        {
          reads: () => {
            throw new KilnError('not_found', '/missing: not found');
          },
        },
      ],
    });
    const job = rig.job();
    await assert.rejects(job.build(copy), (error: KilnError) => {
      assert.equal(error.code, 'not_found');
      assert.deepEqual(error.details, [{ kind: 'vertex', digest: copy.digest }]);
      return true;
    });
    assert.deepEqual(job.events.lifeOf('copy'), ['announced', 'started', 'failed: /missing: not found']);
    await job.close();
  });
});

describe('ignoring the cache', () => {
  it('executes the vertex, and what depends on it by definition, and keeps the new results', async () => {
    await using rig = new SolverRig();
    let version = 1;
    const graph = (ignoreCache: boolean) => {
      const forced = rig.step('forced', { ignoreCache, run: () => [`v${version}`] });
      return rig.step('end', { inputs: [rig.step('middle', { inputs: [forced] })] });
    };
    await rig.build(graph(false));
    rig.takeExecuted();
    version = 2;
    assert.equal((await rig.build(graph(true))).content, 'end(middle(v2))');
    assert.deepEqual(rig.takeExecuted(), ['forced', 'middle', 'end']);
    assert.deepEqual(await rig.build(graph(false)), { content: 'end(middle(v2))', cached: true });
    assert.deepEqual(rig.takeExecuted(), []);
  });

  it('does not let a stale result of a later vertex through behind a copy', async () => {
    await using rig = new SolverRig();
    let version = 1;
    const graph = (ignoreCache: boolean) => {
      const forced = rig.step('forced', { ignoreCache, run: () => [`v${version}`] });
      const copy = rig.step('copy', { inputs: [forced], cacheInputs: [whole] });
      return rig.step('end', { inputs: [copy] });
    };
    await rig.build(graph(false));
    version = 2;
    assert.equal((await rig.build(graph(true))).content, 'end(copy(v2))');
    rig.takeExecuted();
    assert.equal((await rig.build(graph(true))).content, 'end(copy(v2))');
    assert.deepEqual(rig.takeExecuted(), ['forced'], 'the same content again is a hit');
  });

  it('gives a job that ignores the cache nothing of a job that does not', async () => {
    await using rig = new SolverRig();
    const step = gate();
    const plain = rig.job();
    const first = plain.build(rig.step('step', { run: step.run }));
    await step.reached;
    const forcing = rig.job();
    assert.equal((await forcing.build(rig.step('step', { ignoreCache: true }))).content, 'step()');
    step.open();
    assert.equal((await first).content, 'gated()');
    await Promise.all([plain.close(), forcing.close()]);
  });
});

describe('sharing between jobs', () => {
  it('runs a vertex once, and tells a later job all that was said before', async () => {
    await using rig = new SolverRig();
    const step = gate();
    const vertex = () =>
      rig.step('shared', {
        inputs: [rig.step('source')],
        run: async (contents, context) => {
          context.progress.log(1, new TextEncoder().encode('hello'));
          context.progress.status({ id: 'half', current: 1, total: 2 });
          context.progress.warn({ level: 1, short: 'careful' });
          return step.run(contents, context);
        },
      });
    const [early, late] = [rig.job(), rig.job()];
    const one = early.build(vertex());
    await step.reached;
    const other = late.build(vertex());
    step.open();
    assert.equal((await one).content, (await other).content);
    assert.deepEqual(rig.takeExecuted(), ['source', 'shared']);
    for (const { events } of [early, late]) {
      assert.deepEqual(events.lifeOf('shared'), ['announced', 'started', 'completed']);
      assert.deepEqual(events.logs, ['hello']);
      assert.deepEqual(events.statuses, ['half']);
      assert.deepEqual(
        events.warnings.map(({ short }) => short),
        ['careful'],
      );
    }
    await Promise.all([early.close(), late.close()]);
  });

  it('leaves the other job alone when one is cancelled', async () => {
    await using rig = new SolverRig();
    const step = gate();
    const vertex = rig.step('shared', { run: step.run });
    const [leaving, staying] = [rig.job(), rig.job()];
    const one = leaving.build(vertex);
    const other = staying.build(vertex);
    await step.reached;
    const gone = assert.rejects(one, codeOf('canceled'));
    await leaving.close();
    await gone;
    assert.deepEqual(leaving.events.lifeOf('shared').at(-1), 'failed: context canceled');
    step.open();
    assert.equal((await other).content, 'gated()');
    assert.equal(staying.events.lifeOf('shared').at(-1), 'completed');
    await staying.close();
    assert.deepEqual(rig.takeExecuted(), ['shared']);
  });

  it('tells a running operation which jobs want it now', async () => {
    await using rig = new SolverRig();
    const step = gate();
    let context: TestContext | undefined;
    const vertex = rig.step('shared', {
      run: (contents, given) => {
        context = given;
        return step.run(contents, given);
      },
    });
    const [first, second] = [rig.job({ id: 'first' }), rig.job({ id: 'second' })];
    const gone = assert.rejects(first.build(vertex), codeOf('canceled'));
    const built = second.build(vertex);
    await step.reached;
    assert.deepEqual(context!.jobs(), ['first', 'second']);
    await first.close();
    await gone;
    assert.deepEqual(context!.jobs(), ['second']);
    step.open();
    await built;
    await second.close();
  });

  it('tells a running operation of each job that comes, as long as the call lasts', async () => {
    await using rig = new SolverRig();
    const step = gate();
    const told: string[] = [];
    const vertex = rig.step('shared', {
      run: (contents, context) => {
        context.eachJob((job) => told.push(job));
        return step.run(contents, context);
      },
    });
    const jobs = ['first', 'second', 'third'].map((id) => rig.job({ id }));
    const [first, second, third] = jobs as [RigJob, RigJob, RigJob];
    const built = first.build(vertex);
    await step.reached;
    assert.deepEqual(told, ['first']);
    const joined = second.build(vertex);
    await new Promise(setImmediate);
    assert.deepEqual(told, ['first', 'second']);
    step.open();
    await Promise.all([built, joined]);
    await third.build(vertex);
    assert.deepEqual(told, ['first', 'second']);
    for (const job of jobs) await job.close();
  });

  it('runs a vertex that looks the same in another scope separately', async () => {
    await using rig = new SolverRig();
    const step = gate();
    const scoped = (scope: string) => {
      const shared = rig.step('shared', { scope, run: step.run, runsAlone: true });
      return rig.step('downstream', { inputs: [shared] });
    };
    const built = ['', 'one', 'one', 'other'].map((scope) => rig.build(scoped(scope)));
    while (rig.executed.length < 3) await new Promise(setImmediate);
    assert.deepEqual(rig.takeExecuted(), ['shared', 'shared', 'shared']);
    step.open();
    await Promise.all(built);
    assert.deepEqual(rig.takeExecuted(), ['downstream']);
  });

  it('runs again for a job that comes while the abort of the first run is under way', async () => {
    await using rig = new SolverRig();
    const reached = deferred<void>();
    const stopping = deferred<void>();
    const stopped = deferred<void>();
    let runs = 0;
    const vertex = rig.step('slow to stop', {
      inputs: [rig.step('source')],
      run: async (_contents, context) => {
        if (++runs > 1) return ['second run'];
        reached.resolve();
        context.signal.addEventListener('abort', () => stopping.resolve());
        await stopped.promise;
        throw context.signal.reason;
      },
    });
    const first = rig.job();
    const gone = assert.rejects(first.build(vertex), codeOf('canceled'));
    await reached.promise;
    const closed = first.close();
    await stopping.promise;
    const second = rig.job();
    const built = second.build(vertex);
    stopped.resolve();
    assert.equal((await built).content, 'second run');
    await Promise.all([gone, closed, second.close()]);
  });

  it('does not hand the loss of one job to another', async () => {
    await using rig = new SolverRig();
    const reached = deferred<void>();
    const lost = deferred<void>();
    let runs = 0;
    const vertex = rig.step('uses a session', {
      run: async () => {
        if (++runs > 1) return ['by the session of the other'];
        reached.resolve();
        await lost.promise;
        throw new KilnError('unavailable', 'the session is gone');
      },
    });
    const [first, second] = [rig.job(), rig.job()];
    const gone = assert.rejects(first.build(vertex), codeOf('canceled'));
    const built = second.build(vertex);
    await reached.promise;
    await first.close();
    lost.resolve();
    assert.equal((await built).content, 'by the session of the other');
    await gone;
    await second.close();
  });

  it('waits in close until an operation that was told to stop has stopped', async () => {
    await using rig = new SolverRig();
    const reached = deferred<void>();
    const stopped = deferred<void>();
    let running = true;
    const vertex = rig.step('slow to stop', {
      run: async (_contents, context) => {
        reached.resolve();
        await stopped.promise;
        running = false;
        throw context.signal.reason;
      },
    });
    const job = rig.job();
    const gone = assert.rejects(job.build(vertex), codeOf('canceled'));
    await reached.promise;
    const closed = job.close();
    await gone;
    stopped.resolve();
    await closed;
    assert.equal(running, false);
  });

  it('aborts what only a cancelled build call needed, and keeps the rest of the job', async () => {
    await using rig = new SolverRig();
    const step = gate();
    const job = rig.job();
    const stop = new AbortController();
    const stopped = assert.rejects(
      job.build(rig.step('slow', { run: step.run }), stop.signal),
      codeOf('canceled'),
    );
    await step.reached;
    stop.abort();
    await stopped;
    assert.equal((await job.build(rig.step('quick'))).content, 'quick()');
    await job.close();
    assert.equal(job.events.lifeOf('slow').at(-1), 'failed: context canceled');
  });
});

describe('failing', () => {
  it('fails every job that needs the vertex, and tries again for a job that comes later', async () => {
    await using rig = new SolverRig();
    const fail = deferred<void>();
    let broken = true;
    const vertex = rig.step('flaky', {
      run: async () => {
        await fail.promise;
        if (broken) throw new KilnError('unknown', 'exit code: 1');
        return ['fine'];
      },
    });
    const end = rig.step('end', { inputs: [vertex] });
    const [first, second] = [rig.job(), rig.job()];
    const builds = Promise.allSettled([first.build(end), second.build(vertex)]);
    fail.resolve();
    for (const outcome of await builds) {
      assert(outcome.status === 'rejected' && outcome.reason instanceof KilnError);
      assert.deepEqual(outcome.reason.details, [{ kind: 'vertex', digest: vertex.digest }]);
    }
    assert.equal(first.events.lifeOf('flaky').at(-1), 'failed: exit code: 1');
    await assert.rejects(first.build(end), codeOf('unknown'), 'the same job does not run it again');
    assert.deepEqual(rig.takeExecuted(), ['flaky']);
    broken = false;
    assert.equal((await rig.build(end)).content, 'end(fine)');
    await Promise.all([first.close(), second.close()]);
  });

  it('stops what else the failed build was running', async () => {
    await using rig = new SolverRig();
    const step = gate();
    const failing = rig.step('failing', {
      run: async () => {
        await step.reached;
        throw new KilnError('unknown', 'exit code: 1');
      },
    });
    const end = rig.step('end', { inputs: [rig.step('slow', { run: step.run }), failing] });
    await assert.rejects(rig.build(end), codeOf('unknown'));
  });

  it('has no cache map of an operation that failed to make one', async () => {
    await using rig = new SolverRig();
    let away = true;
    const source = rig.step('source', {
      cacheMap: async () => {
        if (away) throw new KilnError('not_found', 'no such image');
      },
    });
    const end = rig.step('end', { inputs: [source] });
    await assert.rejects(rig.build(end), codeOf('not_found'));
    away = false;
    assert.equal((await rig.build(end)).content, 'end(source())');
  });
});

describe('what is shown', () => {
  it('announces the whole graph, inputs first, before anything starts', async () => {
    await using rig = new SolverRig();
    const source = rig.step('source');
    const end = rig.step('end', { inputs: [rig.step('middle', { inputs: [source] }), source] });
    const job = rig.job();
    await job.build(end);
    await job.close();
    assert.deepEqual(
      job.events.vertices.slice(0, 3).map(({ name, started }) => [name, started]),
      [
        ['source', undefined],
        ['middle', undefined],
        ['end', undefined],
      ],
    );
  });

  it('shows a hit and all above it as cached, started and completed at the same time', async () => {
    await using rig = new SolverRig();
    const end = rig.step('end', { inputs: [rig.step('middle', { inputs: [rig.step('source')] })] });
    await rig.build(end);
    const job = rig.job();
    await job.build(end);
    await job.close();
    assert.deepEqual(job.events.namesShownAs('cached').sort(), ['end', 'middle']);
    const shown = job.events.vertices.find(({ name, cached }) => name === 'end' && cached);
    assert.deepEqual(shown!.started, shown!.completed);
    assert.deepEqual(job.events.lifeOf('source'), ['announced', 'started', 'completed']);
  });

  it('shows work that is not a vertex, and waits for it', async () => {
    await using rig = new SolverRig();
    const job = rig.job();
    const exporting = { digest: digestOf('export'), name: 'exporting' };
    assert.equal(await job.job.inProgress(exporting, async () => 'done'), 'done');
    assert.deepEqual(job.events.lifeOf('exporting'), ['announced', 'started', 'completed']);
    const stuck = job.job.inProgress({ ...exporting, name: 'stuck' }, ({ signal }) => {
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    });
    const gone = assert.rejects(stuck, codeOf('canceled'));
    await job.close();
    await gone;
    assert.equal(job.events.lifeOf('stuck').at(-1), 'failed: context canceled');
  });

  it('inspects what unfinished vertices wait for', async () => {
    await using rig = new SolverRig();
    const step = gate();
    const slow = rig.step('slow', {
      run: async (inputs, context) => {
        using _ = context.waitsFor('the gate');
        return await step.run(inputs, context);
      },
    });
    const end = rig.step('end', { inputs: [slow] });
    const job = rig.job({ id: 'the job' });
    const built = job.build(end);
    await step.reached;
    const done = Promise.withResolvers<void>();
    const exporting = { digest: digestOf('export'), name: 'export' };
    const exported = job.job.inProgress(exporting, async (context) => {
      using _ = context.waitsFor('the client');
      await done.promise;
    });
    const inspected = rig.solver.inspect();
    assert.deepEqual(
      inspected.map(({ name, jobs, state, waitsFor }) => ({ name, jobs, state, waitsFor })),
      [
        {
          name: 'slow',
          jobs: ['the job'],
          state: 'output 0: executing',
          waitsFor: ['its execution', 'the gate'],
        },
        { name: 'end', jobs: ['the job'], state: 'output 0: gathering', waitsFor: ['result of slow'] },
        { name: 'export', jobs: ['the job'], state: 'in progress', waitsFor: ['the client'] },
      ],
    );
    step.open();
    done.resolve();
    await Promise.all([built, exported]);
    await job.close();
    assert.deepEqual(rig.solver.inspect(), []);
  });

  it('accounts for the look-ups before an execution', async () => {
    await using rig = new SolverRig();
    const source = rig.step('source', { run: () => ['v'] });
    const copy = rig.step('copy', { inputs: [source], cacheInputs: [{ ...whole, selector: '/etc' }] });
    await rig.build(copy);
    const account = rig.accounts.find(({ vertex }) => vertex === copy.digest);
    assert.equal(account!.operation, digestOf('copy'));
    assert.equal(account!.inputs[0]!.selector, digestOf('/etc'));
    assert.equal(account!.inputs[0]!.contentKey, digestOf('read: v'));
    assert.equal(account!.inputs[0]!.keys.length, 1);
    assert.equal(account!.inputs[0]!.matched, false);
    assert.deepEqual(account!.inputs[0]!.forcedKeys, []);
  });

  it('accounts for equal work with equal keys, and tells of what was reused', async () => {
    await using rig = new SolverRig();
    const step = (name: string) => rig.step(name, { inputs: [rig.step('source', { run: () => ['v'] })] });
    const copy = step('copy');
    await rig.build(copy);
    const { key } = rig.accounts.find(({ vertex }) => vertex === copy.digest)!;
    assert.deepEqual(rig.reused, []);
    await rig.build(step('copy'));
    assert.deepEqual(
      rig.reused.map(({ keys }) => keys),
      [[key]],
    );
  });
});

describe('imported caches', () => {
  /** A rig that has built `graph`, as a cache source that can be waited for. */
  async function exported(graph: (rig: SolverRig) => ReturnType<SolverRig['step']>, target: SolverRig) {
    const keys = new TestKeyStore();
    await using rig = new SolverRig({ keys });
    await rig.build(graph(rig));
    const source: CacheSource<CountedResult> = {
      name: 'far',
      keys,
      results: {
        async load(id) {
          const result = await rig.results.load(id);
          if (!result) return undefined;
          await rig.results.release(result);
          return target.results.create(result.content);
        },
      },
    };
    return { source, keys };
  }
  const graph = (rig: SolverRig) => {
    const base = rig.step('base', { inputs: [rig.step('source')] });
    return rig.step('end', { inputs: [base, rig.step('other')] });
  };

  it('are found by definition, and kept', async () => {
    await using rig = new SolverRig();
    const { source } = await exported(graph, rig);
    const job = rig.job({ cacheSources: [source] });
    assert.equal((await job.build(graph(rig))).cached, true);
    await job.close();
    assert.deepEqual(rig.takeExecuted(), []);
    assert.equal((await rig.build(graph(rig))).cached, true, 'also without the source');
  });

  it('are not asked, however slow, for what is held locally', async () => {
    await using rig = new SolverRig();
    const { source, keys } = await exported(graph, rig);
    await rig.build(graph(rig));
    const lookups = keys.lookups;
    const job = rig.job({ cacheSources: [source] });
    assert.equal((await job.build(graph(rig))).cached, true);
    await job.close();
    assert.equal(keys.lookups, lookups);
  });

  /** Steps on a local directory, whose files are looked at anew by each build. */
  const copying = (rig: SolverRig, files: string) => {
    const local = rig.step('local', { ignoreCache: true, run: () => [files] });
    const copy = rig.step('copy', {
      inputs: [rig.step('source'), local],
      cacheInputs: [{}, { ...whole, contentOnly: true }],
    });
    return rig.step('end', { inputs: [rig.step('run', { inputs: [copy] })] });
  };

  it('delay nothing that is found here by the content of a local directory, though they never answer', async () => {
    await using rig = new SolverRig();
    const { source, keys } = await exported(graph, rig);
    await rig.build(copying(rig, 'files'));
    rig.takeExecuted();
    keys.beforeAnswer = () => assert.fail('asked');
    const job = rig.job({ cacheSources: [source] });
    assert.equal((await job.build(copying(rig, 'files'))).cached, true);
    await job.close();
    assert.deepEqual(rig.takeExecuted(), ['local']);
    assert.deepEqual(job.events.warnings, []);
  });

  it('are waited for by what is not held here, while its sources start', async () => {
    await using rig = new SolverRig();
    const { source, keys } = await exported((other) => copying(other, 'files'), rig);
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    keys.beforeAnswer = () => {
      asked.resolve();
      return answer.promise;
    };
    const job = rig.job({ cacheSources: [source] });
    const built = job.build(copying(rig, 'files'));
    await asked.promise;
    assert.deepEqual(rig.takeExecuted(), ['local']);
    answer.resolve();
    assert.equal((await built).cached, true);
    await job.close();
    assert.deepEqual(rig.takeExecuted(), []);
  });

  it('can join a build that runs', async () => {
    await using rig = new SolverRig();
    const { source } = await exported(graph, rig);
    const job = rig.job();
    job.job.addCacheSource(source);
    assert.equal((await job.build(graph(rig))).cached, true);
    await job.close();
  });

  it('are a miss and a warning when they fail', async () => {
    await using rig = new SolverRig();
    const { source, keys } = await exported(graph, rig);
    keys.beforeAnswer = () => {
      throw new KilnError('unavailable', 'connection refused');
    };
    const job = rig.job({ cacheSources: [source] });
    assert.equal((await job.build(graph(rig))).cached, false);
    await job.close();
    assert(job.events.warnings.some(({ short }) => /far.*connection refused/.test(short)));
  });
});

describe('what is known of an edge', () => {
  it('are the operations, selectors and contents that lead to it, inputs first', async () => {
    await using rig = new SolverRig();
    const graph = () => {
      const local = rig.step('local', { ignoreCache: true, run: () => ['files'] });
      const base = rig.step('base', { alternatives: ['manifest'] });
      const copy = rig.step('copy', {
        inputs: [base, local],
        cacheInputs: [{ selector: '/' }, { ...whole, contentOnly: true }],
      });
      return rig.step('end', { inputs: [copy, base], cacheInputs: [whole, {}] });
    };
    const describe = async (content: string) => {
      const job = rig.job();
      const end = graph();
      await job.build(end);
      const known = await job.job.known({ vertex: end, index: 0 });
      const names = known.map(({ operation }) =>
        ['base', 'local', 'copy', 'end'].find((name) => digestOf(name) === operation),
      );
      assert.deepEqual(names, ['base', 'local', 'copy', 'end']);
      const [base, , copy, last] = known;
      assert.deepEqual(base!.alternatives, [digestOf('manifest')]);
      assert.deepEqual(copy!.inputs, [
        { edge: 0, selector: digestOf('/'), contents: [] },
        { edge: undefined, selector: undefined, contents: [contentKey(digestOf('read: files'))] },
      ]);
      assert.deepEqual(
        last!.inputs.map(({ edge, contents }) => [edge, contents]),
        [
          [2, [contentKey(digestOf('read: copy(base(),files)'))]],
          [0, []],
        ],
      );
      const found = await last!.find();
      assert.equal(found && rig.results.use(found.result), content);
      if (found) await rig.results.release(found.result);
      await job.close();
      return found!.createdAt;
    };
    const first = await describe('end(copy(base(),files),base())');
    const again = await describe('end(copy(base(),files),base())');
    assert.deepEqual(again, first, 'found again, and its contents are remembered');
  });

  it('are results that only an imported cache has', async () => {
    await using rig = new SolverRig();
    const graph = (other: SolverRig) =>
      other.step('end', { inputs: [other.step('middle', { inputs: [other.step('source')] })] });
    const far = new SolverRig({ clock: () => 5000 });
    await far.build(graph(far));
    const job = rig.job({
      cacheSources: [
        {
          name: 'far',
          keys: far.keys,
          results: { load: async (id) => rig.results.create(far.results.contentOf(id)!) },
        },
      ],
    });
    const end = graph(rig);
    assert.equal((await job.build(end)).cached, true);
    const known = await job.job.known({ vertex: end, index: 0 });
    const found = await Promise.all(known.map((edge) => edge.find()));
    assert.deepEqual(
      found.map((each) => each && rig.results.use(each.result)),
      ['source()', 'middle(source())', 'end(middle(source()))'],
    );
    for (const each of found) if (each) await rig.results.release(each.result);
    await job.close();
    await far[Symbol.asyncDispose]();
  });
});

describe('limits and sizes', () => {
  it('executes no more at once than allowed, besides what bypasses the slots', async () => {
    await using rig = new SolverRig({ maxParallelism: 2 });
    let running = 0;
    let most = 0;
    const run = async () => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      return ['done'];
    };
    const heavy = Array.from({ length: 10 }, (_, number) => rig.step(`heavy ${number}`, { run }));
    await rig.build(rig.step('end', { inputs: heavy, bypassesSlots: true }));
    assert.equal(most, 2);
  });

  it('builds a chain longer than the stack is deep, twice', async () => {
    await using rig = new SolverRig();
    let end = rig.step('0', { run: () => ['x'] });
    for (let number = 1; number < 20_000; number++)
      end = rig.step(String(number), { inputs: [end], run: ([content]) => [content!] });
    assert.equal((await rig.build(end)).cached, false);
    assert.equal(rig.takeExecuted().length, 20_000);
    assert.equal((await rig.build(end)).cached, true);
    assert.deepEqual(rig.takeExecuted(), []);
  });

  it('refuses two running jobs of one name, and any job once closed', async () => {
    const rig = new SolverRig();
    const job = rig.job({ id: 'same' });
    assert.throws(() => rig.job({ id: 'same' }), codeOf('already_exists'));
    await job.close();
    await rig.job({ id: 'same' }).close();
    await assert.rejects(job.build(rig.step('late')), codeOf('canceled'));
    await rig[Symbol.asyncDispose]();
    assert.throws(() => rig.job(), codeOf('unavailable'));
  });
});
