import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { KilnError } from '../../base/errors.ts';
import { SolverRig } from '../../solver/testing/solver-rig.ts';
import { FrontendLog } from './frontend-log.ts';

test('what a frontend says and how it fails after its build has ended is dropped', async () => {
  await using rig = new SolverRig();
  const build = rig.job();
  await build.close();
  const log = new FrontendLog({ inProgress: (vertex, work) => build.job.inProgress(vertex, work) }, 'late');
  await assert.rejects(log.write(Buffer.from('late')), { code: 'canceled' });
  await log.end(new KilnError('canceled', 'canceled'));
  // Rejections that nobody handles fail the test.
  await turn();
});
