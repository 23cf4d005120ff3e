import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ExecOp } from '../../llb/op.ts';
import { runFrontend } from './bridge-rig.ts';

const scanner = {
  os: 'linux',
  architecture: 'amd64',
  config: { Env: ['PATH=/bin', 'MODE'], Entrypoint: ['/scan'], Cmd: ['--all'], WorkingDir: '/work' },
};

const dockerfile = `
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
FROM scratch AS file
ARG BUILDKIT_SBOM_SCAN_STAGE=true
COPY a /file
FROM scratch AS named
ARG BUILDKIT_SBOM_SCAN_STAGE=other,named
COPY --from=file /file /named
FROM scratch AS unwanted
ARG BUILDKIT_SBOM_SCAN_STAGE=other
COPY --from=named /named /
FROM scratch AS unreached
ARG BUILDKIT_SBOM_SCAN_STAGE=true
COPY a /
FROM unwanted
ARG BUILDKIT_SBOM_SCAN_STAGE=true
COPY b /
`;

async function scan(options: Readonly<Record<string, string>>, text = dockerfile) {
  const result = await runFrontend({ dockerfile: text, anyImage: scanner, options });
  const [attestation] = result.attestations?.get('linux/amd64') ?? [];
  const vertices = [...(attestation?.tree?.graph?.vertices.values() ?? [])];
  const exec = vertices.find(({ op }) => op.action.kind === 'exec');
  return { result, attestation, vertices, exec, action: exec?.op.action as ExecOp };
}

describe('an SBOM', () => {
  test('is what a scanner makes of the result, in a bundle', async () => {
    const { result, attestation, exec, action } = await scan(
      { 'attest:sbom': '"generator=example.com/scanner",DEPTH=3' },
      'FROM scratch\nCOPY a /',
    );
    assert.deepEqual(
      result.resolved.map(({ ref }) => ref),
      ['example.com/scanner:latest'],
    );
    assert.equal(attestation?.kind, 'bundle');
    assert.equal(attestation.predicateType, 'https://spdx.dev/Document');
    assert.deepEqual(
      [...attestation.metadata].map(([key, value]) => [key, Buffer.from(value).toString()]),
      [
        ['reason', 'sbom'],
        ['sbom-core', 'sbom'],
      ],
    );
    assert.equal(
      exec?.metadata.description['llb.customname'],
      '[linux/amd64] generating sbom using example.com/scanner:latest',
    );
    assert.deepEqual(action.meta.args, ['/scan', '--all']);
    assert.equal(action.meta.cwd, '/work');
    assert.deepEqual(action.meta.env, [
      'PATH=/bin',
      'MODE=',
      'BUILDKIT_SCAN_DESTINATION=/run/out/',
      'BUILDKIT_SCAN_SOURCE=/run/src/core/sbom',
      'BUILDKIT_SCAN_DEPTH=3',
    ]);
    assert.deepEqual(
      action.mounts.map(({ dest, readonly }) => [dest, readonly]),
      [
        ['/', false],
        ['/run/out', false],
        ['/run/src/core/sbom', true],
        ['/tmp', false],
      ],
    );
  });

  test('is also made of the context and of stages that the file names', async () => {
    const { action, vertices, result } = await scan({ 'attest:sbom': '' });
    assert.equal(result.resolved[0]?.ref, 'docker.io/docker/buildkit-syft-scanner:stable-1');
    assert.ok(action.meta.env.includes('BUILDKIT_SCAN_SOURCE_EXTRAS=/run/src/extras'));
    assert.deepEqual(
      action.mounts.map(({ dest }) => dest).filter((dest) => dest.includes('extras')),
      ['/run/src/extras/sbom-context', '/run/src/extras/sbom-file', '/run/src/extras/sbom-named'],
    );
    // The trees that are scanned are those that are built, not others of the same kind.
    const built = new Set([...result.graphs.values()].flatMap((graph) => [...graph.vertices.keys()]));
    const others = vertices.filter(({ digest }) => !built.has(digest)).map(({ op }) => op.action);
    assert.deepEqual(others.map((each) => (each.kind === 'source' ? each.identifier : each.kind)).sort(), [
      'docker-image://docker.io/docker/buildkit-syft-scanner:stable-1',
      'exec',
    ]);
  });

  test('is made of the result alone when the client says so, and where nothing is declared', async () => {
    const no = { 'build-arg:BUILDKIT_SBOM_SCAN_STAGE': 'false', 'build-arg:BUILDKIT_SBOM_SCAN_CONTEXT': '0' };
    const yes = { 'build-arg:BUILDKIT_SBOM_SCAN_STAGE': '1', 'build-arg:BUILDKIT_SBOM_SCAN_CONTEXT': '1' };
    for (const { action } of [
      await scan({ 'attest:sbom': '', ...no }),
      await scan({ 'attest:sbom': '', ...yes }, 'FROM scratch AS a\nCOPY a /\nFROM a'),
    ]) {
      assert.deepEqual(
        action.mounts.map(({ dest }) => dest).filter((dest) => dest.includes('extras')),
        [],
      );
    }
  });

  test('is made again whenever a scanned stage is', async () => {
    const request = { 'attest:sbom': '' };
    assert.equal((await scan(request)).exec?.metadata.ignoreCache, false);
    assert.equal((await scan({ ...request, 'no-cache': 'named' })).exec?.metadata.ignoreCache, true);
    assert.equal((await scan({ ...request, 'no-cache': 'unwanted' })).exec?.metadata.ignoreCache, false);
    assert.equal((await scan({ ...request, 'no-cache': '' })).exec?.metadata.ignoreCache, true);
  });

  test('is asked for in either form, and refused when nobody could make it', async () => {
    const asked = await scan({ 'build-arg:BUILDKIT_ATTEST_SBOM': 'generator=a/b:1' });
    assert.equal(asked.result.resolved[0]?.ref, 'docker.io/a/b:1');
    assert.equal((await scan({})).attestation, undefined);
    const refusals: readonly [Readonly<Record<string, string>>, RegExp][] = [
      [{ 'attest:sbom': 'generator=' }, /sbom generator cannot be empty/],
      [{ 'attest:sbom': 'generator=A B' }, /failed to parse sbom generator A B: invalid image reference/],
      [{ 'attest:sbom': '"generator' }, /failed to parse sbom: malformed quotes/],
      [{ 'attest:other': '' }, /unknown attestation type "other"/],
    ];
    for (const [options, message] of refusals) {
      await assert.rejects(scan(options), { code: 'invalid_argument', message });
    }
    await assert.rejects(
      runFrontend({
        dockerfile: 'FROM scratch\nCOPY a /',
        anyImage: { config: {} },
        options: { 'attest:sbom': '' },
      }),
      { message: /scanner docker.io\/docker\/buildkit-syft-scanner:stable-1 does not have cmd/ },
    );
  });
});
