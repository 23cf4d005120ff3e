import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Health, HealthCheckResponse_ServingStatus } from '../api/gen/health_pb.js';
import type { CallHandler } from '../api/message-stream.ts';
import { methodPath, unaryHandler } from '../api/unary-call.ts';
import { deferred } from '../base/async/lifetime.ts';
import { healthLimits, untilUnresponsive } from './client-health.ts';
import { openSessionRig } from './session-rig.ts';

describe('the health of a client', () => {
  const limits = { interval: 5, timeout: 500, failures: 2 };
  const serving = { status: HealthCheckResponse_ServingStatus.SERVING };
  const service = (handler: CallHandler) => [{ [methodPath(Health.method.check)]: handler }];

  test('is lost when it leaves several questions in a row unanswered', async () => {
    const stuck = deferred<typeof serving>();
    let asked = 0;
    const handler = unaryHandler(Health.method.check, () =>
      ++asked === 1 || asked === 3 ? Promise.resolve(serving) : stuck.promise,
    );
    await using rig = await openSessionRig(service(handler));
    await untilUnresponsive(rig.session.open, limits, new AbortController().signal);
    // The second question alone did not count: the third was answered.
    assert.equal(asked, 5);
    stuck.resolve(serving);
  });

  test('is not in doubt when it has no health service, until it leaves', async () => {
    await using rig = await openSessionRig([]);
    const questions = new Set<string>();
    const open: typeof rig.session.open = (method, ...rest) => {
      questions.add(`${questions.size} ${method}`);
      if (questions.size === 5) void rig.leave();
      return rig.session.open(method, ...rest);
    };
    // Whether the end of the session is noticed by the question or by the signal is a matter of chance.
    await untilUnresponsive(open, limits, rig.session.closed).catch(() => {});
    assert.ok(questions.size >= 5);
  });

  test('is asked as often as the client says, but not all the time', () => {
    assert.deepEqual(healthLimits('2000'), { interval: 2000, timeout: 2000, failures: 1 });
    assert.equal(healthLimits('1').interval, 1000);
    for (const header of [undefined, '', '0', 'soon']) assert.equal(healthLimits(header).failures, 2);
  });
});
