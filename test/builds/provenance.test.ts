import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { Content } from '../../src/api/gen/content_pb.js';
import { Control } from '../../src/api/gen/control_pb.js';
import { LLBBridge } from '../../src/api/gen/gateway_pb.js';
import { digestOf } from '../../src/base/digest.ts';
import { openInProcessEngine } from '../../src/daemon/in-process.ts';
import { HttpRig } from '../../src/http/http-rig.ts';
import { encodeDefinition, files, scratch, toDefinition } from '../../src/llb/llb.ts';
import { GitRepository, GitServer } from '../../src/source/git/git-rig.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

interface Dependency {
  readonly uri: string;
  readonly digest: Readonly<Record<string, string>>;
}

describe('provenance', () => {
  const rig = suiteRig(async (resources) => {
    const daemon = await openDaemon(resources);
    const repositories = daemon.work.tree({});
    return {
      ...daemon,
      repositories,
      server: resources.use(await HttpRig.start()),
      git: resources.use(await GitServer.start(repositories)),
    };
  });

  /** The predicate that a build of `context` writes beside its files. */
  const predicateOf = async (context: string, args: readonly string[]) => {
    const directory = path.join(rig.work.tree({}), 'out');
    await rig.kiln.build(context, [...args, '-o', `type=local,dest=${directory}`]);
    const text = readFileSync(path.join(directory, 'provenance.json'), 'utf8');
    return { text, statement: JSON.parse(text) };
  };
  const hex = (digest: string) => digest.slice(digest.indexOf(':') + 1);
  const withUser = (url: string) => url.replace('http://', 'http://user:pass%21@');

  test('names all sources, also when nothing has to run again, and keeps secrets and credentials', async () => {
    const token = 'a token nobody may see';
    const commit = new GitRepository(path.join(rig.repositories, 'x.git')).commit({ file: 'text' });
    const download = withUser(rig.server.serve('/download', { content: 'content' }));
    const repository = withUser(rig.git.url('x.git'));
    const context = rig.work.tree({
      Dockerfile: [
        'FROM base AS made',
        'ARG API_TOKEN',
        `ADD ${download} /download`,
        `ADD ${repository} /repository`,
        'RUN --mount=type=secret,id=mine --mount=type=cache,target=/cache ls /repository > /list',
        'COPY <<EOF /told',
        '$API_TOKEN',
        'EOF',
        'FROM scratch',
        'COPY --from=made /list /told /',
        'COPY local /',
      ].join('\n'),
      local: '',
    });
    const args = [
      ...['--provenance', 'mode=max,builder-id=https://builder.example', '--build-arg', `API_TOKEN=${token}`],
      ...['--build-arg', 'OTHER=told'],
    ];
    for (const round of ['first', 'again']) {
      const { text, statement } = await predicateOf(context, args);
      assert.equal(statement.predicateType, 'https://slsa.dev/provenance/v1', round);
      const { buildDefinition, runDetails } = statement.predicate;
      const { digest } = baseLayout();
      const dependencies: readonly Dependency[] = buildDefinition.resolvedDependencies;
      const [image, ...others] = dependencies;
      assert.match(image!.uri, /^pkg:oci\/base\?digest=sha256:/);
      assert.deepEqual(image!.digest, { sha256: hex(digest) });
      const hidden = (url: string) => url.replace('user:pass%21', 'xxxxx:xxxxx');
      assert.deepEqual(
        others.toSorted((a, b) => (a.uri < b.uri ? -1 : 1)),
        [
          { uri: hidden(repository), digest: { sha1: commit } },
          { uri: hidden(download), digest: { sha256: hex(digestOf('content')) } },
        ].toSorted((a, b) => (a.uri < b.uri ? -1 : 1)),
      );
      const { request } = buildDefinition.externalParameters;
      assert.deepEqual(request.secrets, [
        { id: 'GIT_AUTH_HEADER', optional: true },
        { id: 'GIT_AUTH_TOKEN', optional: true },
        { id: 'mine', optional: true },
      ]);
      assert.deepEqual(request.locals, [{ name: 'context' }, { name: 'dockerfile' }]);
      assert.equal(request.args['build-arg:OTHER'], 'told');
      assert.equal(request.args['build-arg:API_TOKEN'], 'xxxxx');
      assert.equal(runDetails.builder.id, 'https://builder.example');
      assert.equal(runDetails.metadata.buildkit_completeness.resolvedDependencies, false);
      for (const secret of [token, 'pass%21', Buffer.from(`${token}\n`).toString('base64')]) {
        assert.ok(!text.includes(secret), `${round}: ${secret}`);
      }
    }
  });

  test('is hermetic where no step reached the network and all sources can be named', async () => {
    const repository = new GitRepository(path.join(rig.repositories, 'sha256.git'), { format: 'sha256' });
    const commit = repository.commit({
      'dir/my.Dockerfile': 'FROM base\nRUN --network=none true\nCOPY my.Dockerfile /\n',
    });
    const url = `${rig.git.url('sha256.git')}#main:dir`;
    const { statement } = await predicateOf(url, [
      '-f',
      'my.Dockerfile',
      '--attest',
      'type=provenance,version=v0.2,mode=min',
    ]);
    assert.equal(statement.predicateType, 'https://slsa.dev/provenance/v0.2');
    const { invocation, metadata, buildConfig } = statement.predicate;
    assert.deepEqual(invocation.configSource, {
      uri: url,
      digest: { sha256: commit },
      entryPoint: 'my.Dockerfile',
    });
    assert.equal(metadata['https://mobyproject.org/buildkit@v1#hermetic'], true);
    assert.equal(metadata.completeness.materials, true);
    assert.equal(buildConfig, undefined);
  });

  test('fails a build whose sources have to be complete, and are not', async () => {
    const context = rig.work.tree({ Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
    const { stderr } = await rig.kiln.failingBuild(context, [
      '--provenance',
      'complete-materials=true',
      '-o',
      rig.work.at('none'),
    ]);
    assert.match(stderr, /provenance materials are incomplete[\s\S]*- context\n {4}reason: local_source/);
  });

  test('is refused in versions and modes that there are not', async () => {
    const context = rig.work.tree({ Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
    for (const [settings, message] of [
      ['version=v7', /invalid provenance SLSA version: v7/],
      ['mode=some', /invalid mode "some"/],
      ['reproducible=maybe', /failed to parse reproducible flag "maybe"/],
    ] as const) {
      assert.match((await rig.kiln.failingBuild(context, ['--provenance', settings])).stderr, message);
    }
  });
});

describe('provenance of builds that clients drive', () => {
  const rig = suiteRig(async (resources) => {
    const work = resources.use(new WorkDirectory());
    const engine = resources.use(await openInProcessEngine({ root: work.at('root') }));
    return { transport: engine.transport };
  });
  /** The inputs of a request that build this Dockerfile. */
  const inputsOf = (dockerfile: string) => {
    const context = encodeDefinition(
      toDefinition(scratch().file(files().mkfile('/Dockerfile', 0o644, dockerfile))),
    );
    return { context, dockerfile: context };
  };

  /** Drives a build by `drive`, which returns the id of its result, and returns the request in its provenance. */
  const requestOf = async (
    frontendAttrs: Record<string, string>,
    drive: (
      solve: (options: Record<string, string>, inputs: Record<string, Uint8Array>) => Promise<Solved>,
    ) => Promise<string>,
  ) => {
    const control = createClient(Control, rig.transport);
    const bridge = createClient(LLBBridge, rig.transport);
    const ref = randomUUID();
    const headers = { 'buildkit-controlapi-buildid': ref };
    const solved = control.solve({ ref, frontendAttrs });
    solved.catch(() => {});
    const solve = async (
      frontendOptions: Record<string, string>,
      frontendInputs: Record<string, Uint8Array>,
    ) => {
      const request = { frontend: 'dockerfile.v0', frontendOptions, frontendInputs, allowResultReturn: true };
      const { result } = await bridge.solve(request, { headers });
      assert.ok(result?.result.case === 'ref');
      return { id: result.result.value.id, definition: result.result.value.definition! };
    };
    const id = await drive(solve);
    await bridge.return({ result: { result: { case: 'ref', value: { id } } } }, { headers });
    await solved;
    const [event] = await Array.fromAsync(control.listenBuildHistory({ ref, earlyExit: true }));
    const { digest } = event!.record!.result!.attestations[0]!;
    const parts = await Array.fromAsync(createClient(Content, rig.transport).read({ digest }));
    const { buildDefinition } = JSON.parse(Buffer.concat(parts.map(({ data }) => data)).toString());
    return buildDefinition.externalParameters.request;
  };
  interface Solved {
    readonly id: string;
    readonly definition: Uint8Array;
  }

  test('says which request an input came from, and what the client itself asked for', async () => {
    const given = inputsOf('FROM scratch AS made\nCOPY Dockerfile /x\nFROM scratch\nCOPY --from=in /x /y\n');
    const request = await requestOf({ 'my-option': 'value' }, async (solve) => {
      const made = await solve({ target: 'made' }, given);
      const used = await solve({ 'context:in': 'input:base' }, { ...given, base: made.definition });
      return used.id;
    });
    assert.equal(request.frontend, 'dockerfile.v0');
    assert.deepEqual(request.inputs, {
      base: { configSource: {}, request: { frontend: 'dockerfile.v0', args: { target: 'made' } } },
    });
    assert.deepEqual(request.root, { configSource: {}, request: { args: { 'my-option': 'value' } } });
  });

  test('does not guess where an input came from that no request or several made', async () => {
    const given = inputsOf('FROM scratch AS made\nCOPY Dockerfile /x\nFROM scratch\nCOPY --from=in /x /y\n');
    const plain = encodeDefinition(toDefinition(scratch().file(files().mkfile('/x', 0o644, 'plain'))));
    const request = await requestOf({}, async (solve) => {
      const made = await solve({ target: 'made' }, given);
      await solve({ target: 'made', 'label:a': 'b' }, given);
      // Not every input has to be one that could be used.
      const wrong = encodeDefinition({ ops: [Buffer.from('no op')], metadata: new Map() });
      const inputs = { ...given, base: made.definition, other: plain, wrong };
      return (await solve({ 'context:in': 'input:base' }, inputs)).id;
    });
    assert.equal(request.inputs, undefined);
    assert.equal(request.root, undefined);
  });
});
