import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coveredSeconds } from './intervals.ts';
import { ProgressState } from './progress-state.ts';
import { epoch, log, vertex } from './status-fixture.ts';

function stateOf(...events: Parameters<ProgressState['apply']>[0][]): ProgressState {
  const state = new ProgressState();
  for (const event of events) state.apply(event, epoch);
  return state;
}

test('a step goes from waiting over running to its end', () => {
  const state = stateOf(vertex('a'));
  assert.equal(state.started.length, 0);
  assert.deepEqual(state.count, { total: 1, completed: 0 });
  state.apply(vertex('a', { started: 0 }), epoch);
  assert.equal(state.started[0]!.phase, 'running');
  state.apply(vertex('a', { started: 0, completed: 5 }), epoch);
  assert.equal(state.started[0]!.phase, 'done');
  assert.deepEqual(state.count, { total: 1, completed: 1 });
});

test('how a step ended is told apart', () => {
  const phase = (options: Parameters<typeof vertex>[1]) =>
    stateOf(vertex('a', { started: 0, completed: 1, ...options })).started[0]!.phase;
  assert.equal(phase({ cached: true }), 'cached');
  assert.equal(phase({ error: 'process failed' }), 'failed');
  assert.equal(phase({ error: 'exec: context canceled' }), 'canceled');
  assert.equal(phase({ error: 'canceled' }), 'canceled');
});

test('an announcement that comes again takes nothing back', () => {
  const state = stateOf(vertex('a', { started: 0, completed: 1, error: 'broken' }), vertex('a'));
  assert.equal(state.started[0]!.phase, 'failed');
  assert.equal(state.started.length, 1);
});

test('a step that goes on after its end runs again, and only its working time counts', () => {
  const state = stateOf(vertex('a', { started: 0, completed: 1000 }), vertex('a', { started: 5000 }));
  assert.equal(state.started[0]!.phase, 'running');
  state.apply(vertex('a', { started: 5000, completed: 7000 }), epoch);
  assert.equal(state.started[0]!.phase, 'done');
  assert.equal(coveredSeconds(state.started[0]!.intervals, epoch), 3);
});

test('overlapping stretches of work count once, open ones up to now', () => {
  assert.equal(
    coveredSeconds(
      [{ start: 0, end: 2000 }, { start: 1000, end: 3000 }, { start: 1500, end: 1600 }, { start: 10_000 }],
      12_000,
    ),
    5,
  );
});

test('a group is one step, shown once a member that is not weak has begun', () => {
  const group = { id: 'g', name: 'the group', weak: false };
  const state = stateOf(vertex('weak', { started: 0, completed: 1, group: { ...group, weak: true } }));
  assert.equal(state.started.length, 0);
  state.apply(vertex('a', { started: 1, group }), epoch);
  state.apply(vertex('b', { group }), epoch);
  assert.deepEqual(
    state.started.map((step) => [step.name, step.phase]),
    [['the group', 'running']],
  );
  state.apply(vertex('a', { started: 1, completed: 9, group }), epoch);
  assert.equal(state.started[0]!.phase, 'done');
  assert.deepEqual(state.count, { total: 1, completed: 1 });
});

test("times are shown by the daemon's clock", () => {
  const state = new ProgressState();
  state.apply(vertex('a', { started: 0 }), epoch + 60_000);
  assert.equal(state.daemonTime(epoch + 61_000), epoch + 1000);
});

test('log pieces become lines, whichever way they are cut', () => {
  const euro = Buffer.from('3 €\n');
  const state = stateOf(
    vertex('a', { started: 0 }),
    log('a', 'one\ntw', 100),
    log('a', 'error\n', 150, 2),
    log('a', 'o\r\n', 200),
    log('a', euro.subarray(0, 3), 300),
    log('a', euro.subarray(3), 400),
    log('a', 'open', 500),
  );
  const step = state.started[0]!;
  assert.deepEqual(step.log.take(), [
    { seconds: 0.1, text: 'one' },
    { seconds: 0.15, text: 'error' },
    { seconds: 0.1, text: 'two' },
    { seconds: 0.3, text: '3 €' },
  ]);
  assert.deepEqual(step.log.take(), []);
  state.apply(vertex('a', { started: 0, completed: 900 }), epoch);
  assert.deepEqual(step.log.take(), [{ seconds: 0.5, text: 'open' }]);
});

test('a long log keeps its end and says how much came before', () => {
  const state = stateOf(vertex('a', { started: 0 }));
  const step = state.started[0]!;
  for (let batch = 0; batch < 30; batch++) {
    const lines = Array.from({ length: 1000 }, (_, index) => `${batch * 1000 + index}\n`);
    state.apply(log('a', lines.join(''), 1), epoch);
    assert.equal(step.log.take().length, 1000);
  }
  const { lines, earlier } = step.log.tail(2);
  assert.deepEqual(
    lines.map((line) => line.text),
    ['29998', '29999'],
  );
  assert.equal(earlier, 29_998);
});
