import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { digestOf } from '../src/base/digest.ts';
import { solve } from '../src/client/solve.ts';
import { emptySolve } from '../src/client/solve-request.ts';
import { type InProcessEngine, openInProcessEngine } from '../src/daemon/in-process.ts';
import { HttpRig } from '../src/http/http-rig.ts';
import { files, local, scratch, toDefinition } from '../src/llb/llb.ts';
import { type RegistryRig, startRegistry } from '../src/registry/registry-rig.ts';
import type { SourceCheck, SourceVerdict } from '../src/session/requests/source-verifier.ts';
import { GitRepository, GitServer } from '../src/source/git/git-rig.ts';
import { baseLayout } from './rig/base-layout.ts';
import { Daemon } from './rig/daemon.ts';
import { mustRun } from './rig/run-program.ts';
import { WorkDirectory } from './rig/work-directory.ts';

describe('a source policy file', () => {
  let work: WorkDirectory;
  let registry: RegistryRig;
  let daemon: Daemon;
  before(async () => {
    work = new WorkDirectory();
    registry = await startRegistry();
    daemon = await Daemon.start();
    const { directory } = baseLayout();
    const to = `docker://${registry.host}/mirror/tool:1.0`;
    await mustRun('skopeo', ['copy', '--dest-tls-verify=false', `oci:${directory}:latest`, to]);
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    work[Symbol.dispose]();
  });

  const policy = (...rules: readonly object[]) => {
    const file = path.join(work.tree({}), 'policy.json');
    writeFileSync(file, JSON.stringify({ version: 1, rules }));
    return ['--source-policy-file', file];
  };

  test('has another image used, for bases and for what is copied from', async () => {
    const context = work.tree({
      Dockerfile:
        'FROM registry.invalid/tool:1.0\nCOPY --from=registry.invalid/tool:1.0 /bin/busybox /copied\nRUN cmp /copied /bin/busybox && echo it ran > /said\n',
    });
    const convert = {
      action: 'CONVERT',
      selector: { identifier: 'docker-image://registry.invalid/*' },
      updates: { identifier: `docker-image://${registry.host}/mirror/$1` },
    };
    assert.equal(await daemon.kiln.textOf('said', context, policy(convert)), 'it ran\n');
  });

  test('denies an image before anything of it is resolved, and the error shows where it is used', async () => {
    const context = work.tree({ Dockerfile: '# first\nFROM registry.invalid/tool:1.0\nRUN true\n' });
    const { stderr } = await daemon.kiln.failingBuild(
      context,
      policy({ action: 'DENY', selector: { identifier: 'docker-image://registry.invalid/*' } }),
    );
    assert.match(
      stderr,
      /source "docker-image:\/\/registry\.invalid\/tool:1\.0" denied by policy: rule 1, DENY/,
    );
    assert.match(stderr, /2 \| >>> FROM registry\.invalid\/tool:1\.0/);
    assert.doesNotMatch(stderr, /load metadata/);
  });

  test('can ask for attributes of a source', async () => {
    const context = work.tree({ Dockerfile: 'FROM scratch\nCOPY file /\n', file: 'x' });
    const unless = (value: string) =>
      policy({
        action: 'DENY',
        selector: {
          identifier: 'local://dockerfile',
          constraints: [{ key: 'local.differ', value, condition: 'NOTEQUAL' }],
        },
      });
    await daemon.kiln.build(context, unless('none'));
    const { stderr } = await daemon.kiln.failingBuild(context, unless('metadata'));
    assert.match(stderr, /denied by policy/);
  });

  test('is about local directories, too', async () => {
    const context = work.tree({ Dockerfile: 'FROM scratch\nCOPY file /\n', file: 'x' });
    const { stderr } = await daemon.kiln.failingBuild(
      context,
      policy({ action: 'DENY', selector: { identifier: 'local://context' } }),
    );
    assert.match(stderr, /source "local:\/\/context" denied by policy/);
  });

  test('with an expression that is none is refused before the build starts', async () => {
    const context = work.tree({ Dockerfile: 'FROM scratch\n' });
    const { stderr } = await daemon.kiln.failingBuild(
      context,
      policy({ action: 'DENY', selector: { identifier: '(', matchType: 'REGEX' } }),
    );
    assert.match(stderr, /source policy: rule 1, DENY \(: invalid regular expression/);
    assert.doesNotMatch(stderr, /load build definition/);
  });
});

describe('a client that decides about sources itself', () => {
  let work: WorkDirectory;
  let engine: InProcessEngine;
  before(async () => {
    work = new WorkDirectory();
    engine = await openInProcessEngine({ root: work.at('root') });
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
    work[Symbol.dispose]();
  });

  /** Copies `file` of the client's directory `wanted` into the result, and answers what it holds. */
  async function build(decideSource: (check: SourceCheck) => SourceVerdict): Promise<string> {
    const [wanted, other, output] = [work.tree({ file: 'w' }), work.tree({ file: 'o' }), work.tree({})];
    const definition = toDefinition(scratch().file(files().copy(local('wanted'), 'file', '/file')));
    const { result } = solve(engine, {
      ...emptySolve,
      source: { kind: 'definition', definition },
      locals: new Map([
        ['wanted', wanted],
        ['other', other],
      ]),
      outputs: [{ kind: 'directory', exporter: 'local', attributes: {}, path: output, remove: false }],
      decideSource,
    });
    await result;
    return (await mustRun('cat', [path.join(output, 'file')])).stdout;
  }

  test('is asked about each source, with the platform of the step', async () => {
    const asked: SourceCheck[] = [];
    const content = await build((check) => {
      asked.push(check);
      return { kind: 'allow' };
    });
    assert.equal(content, 'w');
    assert.deepEqual(
      asked.map(({ source }) => source.identifier),
      ['local://wanted'],
    );
  });

  test('can have another one used', async () => {
    const content = await build(({ source }) =>
      source.identifier === 'local://wanted'
        ? { kind: 'convert', source: { identifier: 'local://other', attrs: {} } }
        : { kind: 'allow' },
    );
    assert.equal(content, 'o');
  });

  test('can ask what is at a URL, and for a checksum of the file with more behind it', async () => {
    await using server = await HttpRig.start();
    const headers = { 'last-modified': 'Sat, 03 Feb 2001 04:05:06 GMT' };
    const other = { identifier: server.serve('/file', { content: 'from there', headers }), attrs: {} };
    const suffix = Buffer.from('!');
    const asked: SourceCheck[] = [];
    const content = await build((check) => {
      const { source, platform } = check;
      if (source.identifier === 'local://wanted') return { kind: 'convert', source: other };
      asked.push(check);
      if (check.http) return { kind: 'allow' };
      const checksum = { algorithm: 'sha384' as const, suffix };
      const request = { source, platform, resolveMode: '', logName: undefined, noConfig: true, checksum };
      return { kind: 'resolve', request };
    });
    assert.equal(content, 'from there');
    assert.deepEqual(asked[1]?.http, {
      digest: digestOf('from there'),
      filename: 'file',
      lastModified: new Date('2001-02-03T04:05:06Z'),
      checksum: {
        digest: `sha384:${createHash('sha384').update('from there!').digest('hex')}`,
        suffix: Uint8Array.from(suffix),
      },
    });
    assert.deepEqual(server.methods('/file'), ['GET']);
  });

  test('can ask what a ref of a git repository is, and for the commit itself', async () => {
    using work = new WorkDirectory();
    await using server = await GitServer.start(work.path);
    const repository = new GitRepository(work.at('app.git'));
    const object = repository.commit({ file: 'committed' });
    const attrs = { 'git.fullurl': server.url('app.git') };
    const other = { identifier: `git://${server.host}/app.git#main`, attrs };
    const asked: SourceCheck[] = [];
    const content = await build((check) => {
      const { source, platform } = check;
      if (source.identifier === 'local://wanted') return { kind: 'convert', source: other };
      asked.push(check);
      if (check.git) return { kind: 'allow' };
      const request = {
        source,
        platform,
        resolveMode: '',
        logName: undefined,
        noConfig: true,
        gitObjects: true,
      };
      return { kind: 'resolve', request };
    });
    assert.equal(content, 'committed');
    const { commitObject, ...told } = asked[1]!.git!;
    assert.deepEqual(told, { ref: 'refs/heads/main', object, commit: undefined, tagObject: undefined });
    assert.equal(Buffer.from(commitObject!).toString(), `${repository.git('cat-file', 'commit', object)}\n`);
  });

  test('can deny it, and say why', async () => {
    await assert.rejects(
      build(() => ({ kind: 'deny', messages: ['not today'] })),
      {
        code: 'permission_denied',
        message: 'source "local://wanted" not allowed by policy: action DENY: not today',
      },
    );
  });
});
