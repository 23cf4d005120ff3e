import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { Content } from '../src/api/gen/content_pb.js';
import { Control } from '../src/api/gen/control_pb.js';
import { LLBBridge } from '../src/api/gen/gateway_pb.js';
import { DefinitionSchema } from '../src/api/gen/ops_pb.js';
import { definitionToMessage } from '../src/llb/definition-wire.ts';
import { files, scratch, toDefinition } from '../src/llb/llb.ts';
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
      message: 'entitlement network.host is not allowed by the daemon',
    });
    assert.deepEqual(await progress, []);
    assert.deepEqual(await Array.fromAsync(control.status({ ref })), []);
  });

  describe('solves a definition', () => {
    const definition = create(
      DefinitionSchema,
      definitionToMessage(toDefinition(scratch().file(files().mkfile('/file', 0o644, 'text')))),
    );
    /** Exports the image that the attributes describe; answers its config, and the warnings. */
    const image = async (attrs: Record<string, string>, frontendAttrs: Record<string, string>) => {
      const control = createClient(Control, engine.transport);
      const ref = randomUUID();
      const progress = Array.fromAsync(control.status({ ref }));
      const exporters = [{ type: 'image', attrs: { name: 'test.example/image', ...attrs } }];
      const { exporterResponse } = await control.solve({ ref, definition, exporters, frontendAttrs });
      const digest = exporterResponse['containerimage.config.digest']!;
      const parts = await Array.fromAsync(createClient(Content, engine.transport).read({ digest }));
      return {
        config: JSON.parse(Buffer.concat(parts.map(({ data }) => data)).toString()) as {
          readonly created: string;
          readonly config: { readonly Cmd?: readonly string[] };
        },
        warnings: (await progress)
          .flatMap(({ warnings }) => warnings)
          .map(({ short }) => Buffer.from(short).toString()),
      };
    };
    const epoch = { 'build-arg:SOURCE_DATE_EPOCH': '1445412480' };
    const created = '2015-10-21T07:28:00Z';

    test('with the time that the build was given, unless the output has its own', async () => {
      assert.equal((await image({}, epoch)).config.created, created);
      assert.notEqual((await image({ 'source-date-epoch': '' }, epoch)).config.created, created);
      assert.notEqual((await image({}, { 'build-arg:SOURCE_DATE_EPOCH': 'soon' })).config.created, created);
    });

    test('into an image with the config that the output has', async () => {
      const own = { architecture: 'amd64', os: 'linux', config: { Cmd: ['/run'] } };
      const { config } = await image({ 'containerimage.config': JSON.stringify(own) }, {});
      assert.deepEqual(config.config.Cmd, ['/run']);
    });

    test('and warns when it is not for the platforms that were asked for', async () => {
      assert.deepEqual((await image({}, { platform: 'linux/amd64,linux/arm64' })).warnings, [
        'Multiple platforms requested but result is not multi-platform',
      ]);
      assert.deepEqual((await image({}, {})).warnings, []);
    });
  });

  test('answers what it can do only to the client of a build', async () => {
    const bridge = createClient(LLBBridge, engine.transport);
    await assert.rejects(bridge.ping({}), { code: 'invalid_argument', message: /no buildid found/ });
  });
});
