import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Health, HealthCheckResponse_ServingStatus } from '../api/gen/health_pb.js';
import { callUnary } from '../api/unary-call.ts';
import { inMemorySession } from '../session/in-memory-session.ts';
import { openSessionHost } from './session-host.ts';
import { emptySolve } from './solve-request.ts';

test('a client answers that it is well, or a daemon that asks would end its session after ten seconds', async () => {
  const source = { kind: 'question', ask: async () => new Map() } as const;
  await using host = await openSessionHost({ ...emptySolve, source });
  await using session = inMemorySession(host.services, { id: 's', name: '', sharedKey: '' });
  const { status } = await callUnary(session.open, Health.method.check, {});
  assert.equal(status, HealthCheckResponse_ServingStatus.SERVING);
});
