import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { HttpRig, selfSigned } from '../../src/http/http-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import { policyArguments } from '../rig/policy-arguments.ts';
import { mustRun } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import type { WorkDirectory } from '../rig/work-directory.ts';

const lastModified = 'Sat, 03 Feb 2001 04:05:06 GMT';

describe('files and contexts that are downloaded', () => {
  const rig = suiteRig(async (resources) => ({
    ...(await openDaemon(resources)),
    server: resources.use(await HttpRig.start()),
  }));

  /** A tar archive of files, packed by a program's flag. */
  const archive = async (files: Parameters<WorkDirectory['tree']>[0], flags: readonly string[] = []) => {
    const file = path.join(rig.work.tree({}), 'archive');
    await mustRun('tar', [...flags, '-cf', file, '-C', rig.work.tree(files), '.']);
    return readFileSync(file);
  };
  /** `mode owner time name` of all files below /added. */
  const list = async (dockerfile: string, args: readonly string[] = []) => {
    const context = rig.work.tree({
      Dockerfile: `FROM base\n${dockerfile}\nRUN cd /added && find . -type f -exec stat -c '%a %u:%g %Y %n' {} + | sort -k4 > /list\n`,
    });
    return (await rig.kiln.textOf('list', context, args)).trimEnd().split('\n');
  };

  test('ADD brings a file with mode 0600 and its time, into a directory or under a name', async () => {
    const url = rig.server.serve('/dir/file%20name?x', {
      content: 'content',
      headers: { 'last-modified': lastModified },
    });
    const timeless = rig.server.serve('/timeless', { content: 'content' });
    const time = Date.UTC(2001, 1, 3, 4, 5, 6) / 1000;
    assert.deepEqual(
      await list(
        [
          `ADD ["${url}", "/added/"]`,
          `ADD --chmod=751 --chown=5:6 ${url} /added/named`,
          `ADD --link ${timeless} /added/timeless`,
        ].join('\n'),
      ),
      [`600 0:0 ${time} ./file name`, `751 5:6 ${time} ./named`, '600 0:0 0 ./timeless'],
    );
  });

  test('an archive stays one, unless it is to be unpacked', async () => {
    const url = rig.server.serve('/archive.tar.gz', {
      content: await archive({ 'in/one': '1', 'in/two': '2', three: '3' }, [
        '-z',
        '--mode=644',
        '--mtime=@9',
      ]),
    });
    assert.deepEqual(await list(`ADD ${url} /added/`), ['600 0:0 0 ./archive.tar.gz']);
    assert.deepEqual(
      (await list(`ADD --unpack --exclude=none ${url} /added/`)).map((line) => line.split(' ')[3]),
      ['./in/one', './in/two', './three'],
    );
  });

  test('a file that did not change is asked for once a build, also by another daemon on the root', async () => {
    const url = rig.server.serve('/cached', { content: 'one', etag: '"1"' });
    const context = rig.work.tree({ Dockerfile: `FROM base\nADD ${url} /file\nRUN cat /file > /copy\n` });
    const root = rig.work.at('cached-root');
    {
      await using first = await Daemon.start({ root });
      assert.equal(await first.kiln.textOf('copy', context), 'one');
      assert.equal((await first.kiln.build(context)).events.vertex('RUN').cached, true);
    }
    await using second = await Daemon.start({ root });
    assert.equal((await second.kiln.build(context)).events.vertex('RUN').cached, true);
    assert.deepEqual(rig.server.methods('/cached'), ['GET', 'HEAD', 'HEAD']);
    rig.server.serve('/cached', { content: 'two', etag: '"2"' });
    assert.equal(await second.kiln.textOf('copy', context), 'two');
  });

  test('a checksum needs no request once the file is here, and one that is wrong shows its line', async () => {
    const url = rig.server.serve('/summed', { content: 'summed' });
    const digest = `sha256:${createHash('sha256').update('summed').digest('hex')}`;
    const context = rig.work.tree({ Dockerfile: `FROM scratch\nADD --checksum=${digest} ${url} /file\n` });
    for (let turn = 0; turn < 2; turn++) assert.equal(await rig.kiln.textOf('file', context), 'summed');
    assert.deepEqual(rig.server.methods('/summed'), ['GET']);

    const wrong = digest.replace(/.{8}$/, '00000000');
    const other = rig.work.tree({ Dockerfile: `FROM scratch\n\nADD --checksum=${wrong} ${url} /file\n` });
    const { stderr } = await rig.kiln.failingBuild(other);
    assert.match(stderr, new RegExp(`digest mismatch ${digest}: ${wrong} was expected`));
    assert.match(stderr, /Dockerfile:3/);
  });

  test('what the server refuses is said with its status', async () => {
    const context = rig.work.tree({ Dockerfile: `FROM scratch\nADD ${rig.server.url('/not-there')} /\n` });
    const { stderr } = await rig.kiln.failingBuild(context);
    assert.match(stderr, /cannot download http:\S+\/not-there: invalid response status 404/);
  });

  test('a policy converts a URL, and pins what it has to be', async () => {
    const url = rig.server.serve('/mirror/file', { content: 'of the mirror' });
    const context = rig.work.tree({ Dockerfile: 'FROM scratch\nADD https://files.invalid/file /file\n' });
    const policy = (checksum: string) => {
      const updates = {
        identifier: url.replace(/file$/, '$1'),
        attrs: { 'http.checksum': `sha256:${checksum}` },
      };
      const selector = { identifier: 'https://files.invalid/*' };
      return policyArguments(rig.work, { action: 'CONVERT', selector, updates });
    };
    const sum = createHash('sha256').update('of the mirror').digest('hex');
    assert.equal(await rig.kiln.textOf('file', context, policy(sum)), 'of the mirror');
    const { stderr } = await rig.kiln.failingBuild(context, policy('0'.repeat(64)));
    assert.match(stderr, /digest mismatch/);
  });

  test('a context is an archive of any compression, or a Dockerfile alone', async () => {
    const files = { Dockerfile: 'FROM scratch\nCOPY dir /\n', 'dir/file': 'in the archive' };
    for (const flags of [[], ['--gzip'], ['--bzip2'], ['--xz'], ['--zstd']]) {
      const url = rig.server.serve('/context', { content: await archive(files, flags) });
      assert.equal(await rig.kiln.textOf('file', url), 'in the archive', flags[0]);
    }
    const url = rig.server.serve('/App.Dockerfile', { content: 'FROM base\nRUN echo alone > /said\n' });
    assert.equal(await rig.kiln.textOf('said', url), 'alone\n');
  });

  test('the Dockerfile is another one in the archive, or one of the client', async () => {
    const url = rig.server.serve('/with-others', {
      content: await archive({ 'build/App': 'FROM scratch\nCOPY file /\n', file: 'in the archive' }),
    });
    assert.equal(await rig.kiln.textOf('file', url, ['-f', 'build/App']), 'in the archive');
    const input = 'FROM scratch\nCOPY file /renamed\n';
    assert.equal(await rig.kiln.textOf('renamed', url, ['-f', '-'], { input }), 'in the archive');
  });

  test('a named context at a URL is a tree with one file, "context"', async () => {
    const url = rig.server.serve('/named', { content: 'named' });
    const context = rig.work.tree({ Dockerfile: 'FROM scratch\nCOPY --from=other context /file\n' });
    assert.equal(await rig.kiln.textOf('file', context, ['--build-context', `other=${url}`]), 'named');
  });

  test('standard input is an archive, packed or not, or a Dockerfile', async () => {
    const files = {
      Dockerfile: 'FROM scratch\nCOPY file /\n',
      App: 'FROM scratch\nCOPY file /app\n',
      file: 'sent',
    };
    const plain = await archive(files);
    assert.equal(await rig.kiln.textOf('file', '-', [], { input: plain }), 'sent');
    const packed = await archive(files, ['--gzip']);
    assert.equal(await rig.kiln.textOf('app', '-', ['-f', 'App'], { input: packed }), 'sent');
    const input = 'FROM base\nRUN echo read > /said\n';
    assert.equal(await rig.kiln.textOf('said', '-', [], { input }), 'read\n');
    const { stderr } = await rig.kiln.failingBuild('-', ['-f', 'App'], { input });
    assert.match(stderr, /standard input is no archive/);
  });

  test('the machine says which certificates are trusted', async () => {
    const tls = await selfSigned();
    const certificate = rig.work.at('server.crt');
    writeFileSync(certificate, tls.cert);
    await using secure = await HttpRig.start({ tls });
    const url = secure.serve('/file', { content: 'over TLS' });
    const context = rig.work.tree({ Dockerfile: `FROM scratch\nADD ${url} /file\n` });
    const { stderr } = await rig.kiln.failingBuild(context);
    assert.match(stderr, /cannot reach 127.0.0.1:\d+: its certificate cannot be trusted/);
    await using trusting = await Daemon.start({ env: { SSL_CERT_FILE: certificate } });
    assert.equal(await trusting.kiln.textOf('file', context), 'over TLS');
  });

  test('SOURCE_DATE_EPOCH is the time of a remote context, or of what a stage adds', async () => {
    const print = (name: string) =>
      `ARG SOURCE_DATE_EPOCH=${name}\nFROM base\nARG SOURCE_DATE_EPOCH\nRUN echo "$SOURCE_DATE_EPOCH" > /epoch\n`;
    const files = { Dockerfile: print('context'), 'dir/file': '' };
    const content = await archive(files, ['-z', '--mtime=@1700000302']);
    const dated = rig.server.serve('/dated', { content, headers: { 'last-modified': lastModified } });
    const undated = rig.server.serve('/undated', { content });
    const said = Date.UTC(2001, 1, 3, 4, 5, 6) / 1000;
    assert.equal(await rig.kiln.textOf('epoch', dated), `${said}\n`);
    assert.equal(await rig.kiln.textOf('epoch', undated), '1700000302\n');

    const context = (dockerfile: string) => rig.work.tree({ Dockerfile: dockerfile });
    const named = ['--build-context', `other=${undated}`];
    assert.equal(await rig.kiln.textOf('epoch', context(print('other')), named), '1700000302\n');
    assert.equal(await rig.kiln.textOf('epoch', context(print('context'))), '\n');
    const staged = print('made').replace('FROM base', `FROM scratch AS made\nADD ${undated} /\nFROM base`);
    assert.equal(await rig.kiln.textOf('epoch', context(staged)), '1700000302\n');
    const { stderr } = await rig.kiln.failingBuild(context(staged.replace('ADD', 'WORKDIR /x\nADD')));
    assert.match(stderr, /SOURCE_DATE_EPOCH stage does not meet source-only requirements/);
    assert.match(
      (await rig.kiln.failingBuild(context(print('nothing')))).stderr,
      /invalid SOURCE_DATE_EPOCH/,
    );
  });

  test('an interrupted build ends although standard input may go on', async () => {
    const input = await archive({ file: 'x' });
    const running = rig.kiln.start('-', [], { input, inputStaysOpen: true });
    await running.said('downloading context');
    running.kill('SIGINT');
    const { stderr } = await running.finished;
    assert.match(stderr, /canceled/);
  });
});
