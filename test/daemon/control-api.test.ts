import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { Content } from '../../src/api/gen/content_pb.js';
import { Control } from '../../src/api/gen/control_pb.js';
import { LLBBridge } from '../../src/api/gen/gateway_pb.js';
import { Exporter } from '../../src/api/gen/session_exporter_pb.js';
import { methodPath, unaryHandler } from '../../src/api/unary-call.ts';
import { KilnError } from '../../src/base/errors.ts';
import { version } from '../../src/base/version.ts';
import { encodeDefinition, files, scratch, toDefinition } from '../../src/llb/llb.ts';
import type { Service } from '../../src/session/service-host.ts';
import { LlbEngine } from '../rig/llb-engine.ts';
import { suiteRig } from '../rig/suite-rig.ts';

describe("the daemon's API", () => {
  const rig = suiteRig(async (resources) => ({ engine: resources.use(await LlbEngine.open()) }));

  const definition = encodeDefinition(toDefinition(scratch().file(files().mkfile('/file', 0o644, 'text'))));

  test("says which BuildKit it is like, and its own version, wherever BuildKit's version is", async () => {
    const control = createClient(Control, rig.engine.transport);
    const { version: said } = await control.info({});
    assert.equal(said?.version, `v0.32.2+kiln.${version}`);
    const { records } = await control.listWorkers({});
    assert.deepEqual(
      records.map((worker) => worker.version),
      [said],
    );
  });

  test('ends the progress of a build that is refused, so that only its caller gets the error', async () => {
    const control = createClient(Control, rig.engine.transport);
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
    /** Exports the image that the attributes describe; returns its config, and the warnings. */
    const image = async (attrs: Record<string, string>, frontendAttrs: Record<string, string>) => {
      const control = createClient(Control, rig.engine.transport);
      const ref = randomUUID();
      const progress = Array.fromAsync(control.status({ ref }));
      const exporters = [{ type: 'image', attrs: { name: 'test.example/image', ...attrs } }];
      const { exporterResponse } = await control.solve({ ref, definition, exporters, frontendAttrs });
      const digest = exporterResponse['containerimage.config.digest']!;
      const parts = await Array.fromAsync(createClient(Content, rig.engine.transport).read({ digest }));
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

  describe('asks a client that wants to see the result', () => {
    const { findExporters, finalizeExport } = Exporter.method;
    /** Builds with a client that answers these calls; returns the exporters' response. */
    const build = async (services: Service) => {
      const ref = randomUUID();
      await using _ = await rig.engine.attach(ref, [services]);
      const control = createClient(Control, rig.engine.transport);
      const request = { ref, session: ref, definition, enableSessionExporter: true };
      return (await control.solve(request)).exporterResponse;
    };
    const wantsImage = unaryHandler(findExporters, async () => ({
      exporters: [{ type: 'image', attrs: { name: 'test.example/added' } }],
    }));

    test('which outputs it wants besides, and shows it the files', async () => {
      const bridge = createClient(LLBBridge, rig.engine.transport);
      const ref = randomUUID();
      let seen: readonly string[] = [];
      const find = unaryHandler(findExporters, async ({ refs }) => {
        const headers = { 'buildkit-controlapi-buildid': ref };
        const { entries } = await bridge.readDir({ ref: refs[0]!, path: '/' }, { headers });
        seen = entries.map(({ path }) => path);
        return { exporters: [{ type: 'image', attrs: { name: 'test.example/added' } }] };
      });
      await using _ = await rig.engine.attach(ref, [{ [methodPath(findExporters)]: find }]);
      const { exporterResponse } = await createClient(Control, rig.engine.transport).solve({
        ...{ ref, session: ref, definition, enableSessionExporter: true },
      });
      assert.deepEqual(seen, ['file']);
      assert.equal(exporterResponse['image.name'], 'test.example/added');
    });

    test('whether it takes the outputs', async () => {
      let told: Readonly<Record<string, string>> = {};
      const take = unaryHandler(finalizeExport, async ({ exporterResponse }) => {
        told = exporterResponse;
        return {};
      });
      const response = await build({
        [methodPath(findExporters)]: wantsImage,
        [methodPath(finalizeExport)]: take,
      });
      assert.deepEqual(told, response);
      const refuse = unaryHandler(finalizeExport, async () => {
        throw new KilnError('aborted', 'not wanted after all');
      });
      await assert.rejects(build({ [methodPath(finalizeExport)]: refuse }), {
        message: 'not wanted after all',
      });
    });

    test('and goes on without an answer', async () => {
      assert.deepEqual(await build({}), {});
    });
  });

  test('answers what it can do only to the client of a build', async () => {
    const bridge = createClient(LLBBridge, rig.engine.transport);
    await assert.rejects(bridge.ping({}), { code: 'invalid_argument', message: /no buildid found/ });
  });
});
