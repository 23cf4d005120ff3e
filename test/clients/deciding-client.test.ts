import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { describe, test } from 'node:test';
import { digestOf } from '../../src/base/digest.ts';
import { solve } from '../../src/client/solve.ts';
import { emptySolve } from '../../src/client/solve-request.ts';
import { openInProcessEngine } from '../../src/daemon/in-process.ts';
import { HttpRig } from '../../src/http/http-rig.ts';
import { files, local, scratch, toDefinition } from '../../src/llb/llb.ts';
import type { SourceCheck, SourceVerdict } from '../../src/session/requests/source-verifier.ts';
import { GitRepository, GitServer } from '../../src/source/git/git-rig.ts';
import { mustRun } from '../rig/run-program.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

describe('a client that decides about sources itself', () => {
  const rig = suiteRig(async (resources) => {
    const work = resources.use(new WorkDirectory());
    const engine = resources.use(await openInProcessEngine({ root: work.at('root') }));
    return { work, engine };
  });

  /** Copies `file` of the client's directory `wanted` into the result, and returns what it holds. */
  async function build(decideSource: (check: SourceCheck) => SourceVerdict): Promise<string> {
    const [wanted, other, output] = [
      rig.work.tree({ file: 'w' }),
      rig.work.tree({ file: 'o' }),
      rig.work.tree({}),
    ];
    const definition = toDefinition(scratch().file(files().copy(local('wanted'), 'file', '/file')));
    const { result } = solve(rig.engine, {
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
    await using server = await GitServer.start(rig.work.at('served'));
    const repository = new GitRepository(rig.work.at('served/app.git'));
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
