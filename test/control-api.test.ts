import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { Control } from '../src/api/gen/control_pb.js';
import { LLBBridge } from '../src/api/gen/gateway_pb.js';
import { LlbEngine } from './rig/llb-engine.ts';

describe("the daemon's API", () => {
  let engine: LlbEngine;
  before(async () => {
    engine = await LlbEngine.open();
  });
  after(() => engine[Symbol.asyncDispose]());

  test('ends the progress of a build that is refused, so that only its caller gets the error', async () => {
    const control = createClient(Control, engine.transport);
    const ref = randomUUID();
    const progress = Array.fromAsync(control.status({ ref }));
    await assert.rejects(control.solve({ ref, frontend: 'dockerfile.v0', entitlements: ['network.host'] }), {
      code: 'permission_denied',
      message: 'network.host is not allowed by the daemon',
    });
    assert.deepEqual(await progress, []);
    assert.deepEqual(await Array.fromAsync(control.status({ ref })), []);
  });

  test('answers what it can do only to the client of a build', async () => {
    const bridge = createClient(LLBBridge, engine.transport);
    await assert.rejects(bridge.ping({}), { code: 'invalid_argument', message: /no buildid found/ });
  });
});
