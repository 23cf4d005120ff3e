import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { files, http, image, local, type State, scratch, toGraph } from '../llb/llb.ts';
import { parseReference } from '../oci/reference.ts';
import { CaptureBuilder } from './capture.ts';
import { provenancePredicate } from './predicate.ts';
import type { BuildFacts, ProvenanceAccount } from './provenance-account.ts';
import { type RequestAccount, requestAccount } from './request-account.ts';

const startedAt = new Date('2026-01-02T03:04:05.678Z');
const build: BuildFacts = {
  invocationId: 'id',
  startedAt,
  finishedAt: () => new Date('2026-01-02T03:04:06Z'),
  platform: { os: 'linux', architecture: 'amd64' },
  dockerfileVersion: '1.2.3',
  compatibilityVersion: 30,
  environment: { foo: 'bar' },
};
const pin = digestOf('image');

function account(state: State, request?: RequestAccount, root?: RequestAccount): ProvenanceAccount {
  const capture = new CaptureBuilder();
  const reference = parseReference('docker.io/library/a:1');
  capture.addImage({ reference, platform: build.platform, digest: pin, local: false });
  return {
    build,
    capture: capture.finish(),
    request,
    root,
    graph: toGraph(state, { localUniqueId: 'u' }),
    layers: async () => [],
  };
}

interface Predicate {
  readonly [key: string]: unknown;
}

const predicate = async (
  of: ProvenanceAccount,
  options: { version?: 'v1' | 'v0.2'; mode?: 'min' | 'max'; reproducible?: boolean } = {},
): Promise<Predicate> => {
  const bytes = await provenancePredicate(of, {
    version: 'v1',
    mode: 'max',
    builderId: 'https://builder',
    reproducible: false,
    ...options,
  });
  return JSON.parse(Buffer.from(bytes).toString());
};

const base = image('docker.io/library/a:1', { platform: build.platform });
const dockerfile = (
  options: Readonly<Record<string, string>>,
  inputs: RequestAccount['inputs'] = new Map(),
) => requestAccount('dockerfile.v0', options, inputs);

describe('a predicate', () => {
  test('of version 1 says what was asked for and what it was made of', async () => {
    const options = {
      context: 'https://user:pass@host/x.git#main:dir',
      filename: 'a.Dockerfile',
      'build-arg:A': 'b',
      'attest:provenance': 'mode=min',
      platform: 'linux/amd64',
      'vcs:revision': 'r',
    };
    assert.deepEqual(await predicate(account(base, dockerfile(options)), { mode: 'min' }), {
      buildDefinition: {
        buildType: 'https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md',
        resolvedDependencies: [
          { uri: 'pkg:docker/a@1?platform=linux%2Famd64', digest: { sha256: pin.slice('sha256:'.length) } },
        ],
        externalParameters: {
          configSource: { uri: 'https://xxxxx:xxxxx@host/x.git#main:dir', path: 'a.Dockerfile' },
          request: { frontend: 'dockerfile.v0', compatibilityVersion: 30 },
        },
        internalParameters: { builderPlatform: 'linux/amd64', dockerfileVersion: '1.2.3', foo: 'bar' },
      },
      runDetails: {
        builder: { id: 'https://builder' },
        metadata: {
          invocationId: 'id',
          startedOn: '2026-01-02T03:04:05.678Z',
          finishedOn: '2026-01-02T03:04:06.000Z',
          buildkit_metadata: { vcs: { revision: 'r' } },
          buildkit_hermetic: true,
          buildkit_completeness: { request: false, resolvedDependencies: true },
        },
      },
    });
  });

  test('of version 0.2 says the same in other words', async () => {
    const of = account(base, dockerfile({ 'build-arg:A': 'b' }));
    assert.deepEqual(await predicate(of, { version: 'v0.2', mode: 'min', reproducible: true }), {
      builder: { id: 'https://builder' },
      buildType: 'https://mobyproject.org/buildkit@v1',
      materials: [
        { uri: 'pkg:docker/a@1?platform=linux%2Famd64', digest: { sha256: pin.slice('sha256:'.length) } },
      ],
      invocation: {
        configSource: {},
        parameters: { frontend: 'dockerfile.v0', compatibilityVersion: 30 },
        environment: { platform: 'linux/amd64', dockerfileVersion: '1.2.3', foo: 'bar' },
      },
      metadata: {
        buildInvocationID: 'id',
        buildStartedOn: '2026-01-02T03:04:05.678Z',
        buildFinishedOn: '2026-01-02T03:04:06.000Z',
        completeness: { parameters: false, environment: true, materials: true },
        reproducible: true,
        'https://mobyproject.org/buildkit@v1#metadata': {},
        'https://mobyproject.org/buildkit@v1#hermetic': true,
      },
    });
  });

  test('of mode max has the steps, each after its inputs, and where they were written', async () => {
    const range = { start: { line: 2, character: 0 }, end: { line: 2, character: 0 } };
    const file = {
      filename: 'Dockerfile',
      language: 'Dockerfile',
      data: Buffer.from('FROM a'),
      definition: undefined,
    };
    const written = { locations: [{ file, ranges: [range] }] };
    const state = base.file(files().copy(local('context', { sessionId: 's' }), '/x', '/y'), written);
    const of = account(state);
    const { buildDefinition, runDetails } = (await predicate(of)) as never as {
      buildDefinition: { internalParameters: { buildConfig: Record<string, unknown> } };
      runDetails: { metadata: { buildkit_metadata: { source: Record<string, unknown> } } };
    };
    const { llbDefinition, digestMapping } = buildDefinition.internalParameters.buildConfig as {
      llbDefinition: { id: string; op: { Op: Record<string, unknown> }; inputs?: string[] }[];
      digestMapping: Record<string, string>;
    };
    assert.deepEqual(
      llbDefinition.map(({ id, op, inputs }) => [id, Object.keys(op.Op), inputs]),
      [
        ['step0', ['source'], undefined],
        ['step1', ['source'], undefined],
        ['step2', ['file'], ['step0:0', 'step1:0']],
        ['step3', [], ['step2:0']],
      ],
    );
    assert.deepEqual(llbDefinition[1]?.op.Op, { source: { identifier: 'local://context' } });
    assert.deepEqual(Object.values(digestMapping).sort(), ['step0', 'step1', 'step2', 'step3']);
    assert.equal(digestMapping[of.graph.result!.digest], 'step2');
    assert.deepEqual(runDetails.metadata.buildkit_metadata.source, {
      locations: {
        step0: {},
        step1: {},
        step2: { locations: [{ ranges: [{ start: { line: 2 }, end: { line: 2 } }] }] },
      },
      infos: [
        { filename: 'Dockerfile', language: 'Dockerfile', data: Buffer.from('FROM a').toString('base64') },
      ],
    });
  });

  test('has no secrets and credentials in the steps either', async () => {
    const secret = 'very secret value';
    const request = dockerfile({ 'build-arg:TOKEN': secret });
    const fetched = http('https://me:pw@host/file');
    const state = base
      .env('TOKEN', secret)
      .run(['echo', `x${secret}`], { mounts: [{ dest: '/f', from: fetched }] })
      .root.file(files().mkfile('/f', 0o600, `a ${secret}`));
    const bytes = await provenancePredicate(account(state, request), {
      version: 'v1',
      mode: 'max',
      builderId: '',
      reproducible: false,
    });
    const text = Buffer.from(bytes).toString();
    assert.ok(text.includes('TOKEN=xxxxx') && text.includes('https://xxxxx:xxxxx@host/file'));
    assert.ok(text.includes(Buffer.from('a xxxxx').toString('base64')));
    assert.ok(!text.includes(secret) && !text.includes('me:pw'));
    assert.ok(!text.includes(Buffer.from(`a ${secret}`).toString('base64')));
  });

  test('names the requests that inputs came from, and the one that the client made', async () => {
    const producer = dockerfile({ target: 'base', 'label:l': 'x' });
    const request = dockerfile({ 'context:in': 'input:a' }, new Map([['a', producer]]));
    const root = requestAccount('', { option: 'value' }, new Map());
    const requestOf = async (mode: 'min' | 'max') => {
      const { buildDefinition } = (await predicate(account(base, request, root), { mode })) as never as {
        buildDefinition: { externalParameters: { request: Record<string, unknown> } };
      };
      return buildDefinition.externalParameters.request;
    };
    const described = (args: Record<string, string>) => ({
      configSource: {},
      request: { frontend: 'dockerfile.v0', args },
    });
    const { inputs, root: client } = await requestOf('max');
    assert.deepEqual(inputs, { a: described({ target: 'base', 'label:l': 'x' }) });
    assert.deepEqual(client, { configSource: {}, request: { args: { option: 'value' } } });
    assert.deepEqual((await requestOf('min')).inputs, { a: described({ target: 'base' }) });
  });

  test('stays small where inputs of inputs are far more than requests', async () => {
    let request = dockerfile({ target: 'first' });
    for (let depth = 0; depth < 40; depth++) {
      request = dockerfile({ depth: String(depth) }, new Map(['a', 'b'].map((name) => [name, request])));
    }
    const of = account(base, request);
    const bytes = await provenancePredicate(of, {
      version: 'v1',
      mode: 'min',
      builderId: '',
      reproducible: false,
    });
    assert.ok(bytes.length < 2_000_000, `${bytes.length}`);
    const { runDetails } = JSON.parse(Buffer.from(bytes).toString());
    assert.equal(runDetails.metadata.buildkit_completeness.request, false);
  });

  test('of the empty tree has no steps', async () => {
    const { buildDefinition } = (await predicate(account(scratch()))) as never as {
      buildDefinition: { internalParameters: Record<string, unknown> };
    };
    assert.deepEqual(buildDefinition.internalParameters.buildConfig, {});
  });
});
