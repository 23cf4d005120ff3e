import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import { hostPlatform } from '../../base/platform.ts';
import { type ProgressWriter, type StatusEvent, silentProgress } from '../../base/progress.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { DiskUsage } from '../../ref/disk-usage.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { openRefStoreRig } from '../../ref/ref-store-rig.ts';
import type { ClientCredentials } from '../../session/session.ts';
import type { CommitResolver, Source, SourceContext } from '../source.ts';
import { GitRepository, GitServer } from './git-rig.ts';
import { createGitSource } from './git-source.ts';

type Attributes = Readonly<Record<string, string>>;

let dir: string;
let resources: AsyncDisposableStack;
let diskUsage: DiskUsage;
let server: GitServer;
let repository: GitRepository;
let source: Source & CommitResolver;
let secrets: Map<string, string>;
let sessions: number;

beforeEach(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'kiln-git-source-'));
  sessions = 0;
  secrets = new Map();
  resources = new AsyncDisposableStack();
  resources.defer(() => rmSync(dir, { recursive: true }));
  const rig = await openRefStoreRig(dir, resources);
  diskUsage = rig.diskUsage;
  const { refStore, cacheDirectories, pool } = rig;
  const credentials: Pick<ClientCredentials, 'secret' | 'sshAgent'> = {
    async secret(_, id) {
      const value = secrets.get(id);
      if (value === undefined) throw new KilnError('not_found', `no secret ${id}`);
      return Buffer.from(value);
    },
    sshAgent: async () => undefined,
  };
  source = createGitSource({
    refStore,
    cacheDirectories,
    pool,
    credentials,
    directory: path.join(dir, 'git'),
  });
  server = resources.use(await GitServer.start(path.join(dir, 'served')));
  repository = new GitRepository(path.join(dir, 'served/app.git'));
});
afterEach(() => resources.disposeAsync());

/** A build of its own, unless it is given another's session. */
function context(options: Partial<SourceContext> = {}): SourceContext {
  const session = `session-${++sessions}`;
  return {
    signal: AbortSignal.timeout(60_000),
    progress: silentProgress,
    sessions: () => [session],
    hold() {},
    ...options,
  };
}

/** A source op for `name#ref:subdir` of the server. */
function opOf(name: string, attrs: Attributes = {}): SourceOp {
  const [repositoryName = ''] = name.split('#');
  return {
    identifier: `git://${server.host}/${name}`,
    attrs: { 'git.fullurl': server.url(repositoryName), ...attrs },
  };
}

function open(name: string, attrs: Attributes = {}) {
  return source.open(opOf(name, attrs), hostPlatform());
}

async function key(name: string, attrs: Attributes = {}, with_ = context()) {
  return await open(name, attrs).key(with_);
}

async function snapshot(name: string, attrs: Attributes = {}, with_ = context()): Promise<string> {
  return await directoryOf(await snapshotRef(name, attrs, with_));
}

async function snapshotRef(name: string, attrs: Attributes = {}, with_ = context()): Promise<ImmutableRef> {
  const instance = open(name, attrs);
  await instance.key(with_);
  return resources.adopt(await instance.snapshot(with_), (ref) => ref.release());
}

async function directoryOf(ref: ImmutableRef): Promise<string> {
  const [layer] = await ref.layerDirs();
  return layer!;
}

/** What is in a tree: modes, and the content of files or where links lead. */
function listing(directory: string): Record<string, string> {
  const entries = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    entries.map((name) => {
      const file = path.join(directory, name);
      const stats = lstatSync(file);
      const mode = (stats.mode & 0o7777).toString(8);
      if (stats.isDirectory()) return [name, `${mode}/`];
      return [
        name,
        stats.isSymbolicLink() ? `-> ${readlinkSync(file)}` : `${mode} ${readFileSync(file, 'utf8')}`,
      ];
    }),
  );
}

function gitIn(directory: string, ...args: readonly string[]): string {
  const env = { PATH: process.env.PATH, HOME: '/dev/null' };
  return execFileSync('git', args, { cwd: directory, encoding: 'utf8', env }).trim();
}

test('the files of the default branch are checked out, whatever the umask is', async () => {
  const commit = repository.commit({
    'a.txt': 'a',
    'bin/run': { program: '#!/bin/sh\n' },
    'bin/deep/b': 'b',
    link: { link: 'a.txt' },
  });
  const before = process.umask(0o077);
  try {
    const ref = await snapshotRef('app.git');
    assert.deepEqual(listing(await directoryOf(ref)), {
      'a.txt': '644 a',
      bin: '755/',
      'bin/run': '755 #!/bin/sh\n',
      'bin/deep': '755/',
      'bin/deep/b': '644 b',
      link: '-> a.txt',
    });
    assert.equal((await key('app.git')).pin, commit);
    const usage = await diskUsage.list();
    assert.deepEqual(usage.map(({ type, description, mutable }) => [type, description, mutable]).sort(), [
      ['regular', `shared git repo for ${server.url('app.git')}`, true],
      ['source.git.checkout', `git snapshot for ${server.url('app.git')}#refs/heads/main`, false],
    ]);
  } finally {
    process.umask(before);
  }
});

test('a commit has one key, however it is named', async () => {
  const commit = repository.commit({ a: 'a' });
  repository.git('tag', 'light');
  repository.git('tag', '--annotate', '--message=x', 'v1');
  repository.git('update-ref', 'refs/pull/1/head', commit);
  const tag = repository.git('rev-parse', 'v1');
  const names = [
    '',
    '#main',
    '#heads/main',
    '#refs/heads/main',
    '#light',
    '#refs/tags/light',
    '#v1',
    '#tags/v1',
    '#pull/1/head',
    `#${commit}`,
    `#${tag}`,
  ];
  const keys = await Promise.all(names.map((name) => key(`app.git${name}`)));
  const digests = keys.map(({ digest }) => digest);
  assert.deepEqual(digests.slice(0, -1), Array(names.length - 1).fill(digests[0]));
  assert.deepEqual(
    keys.map(({ pin }) => pin),
    names.map((name) => (/v1$/.test(name) || name === `#${tag}` ? tag : commit)),
  );
  for (const name of ['app.git#v1', `app.git#${tag}`]) {
    assert.deepEqual(listing(await snapshot(name)), { a: '644 a' });
  }
});

test('a branch is meant before a tag of its name', async () => {
  repository.commit({ a: 'tagged' });
  repository.git('tag', 'both');
  repository.git('checkout', '--quiet', '-b', 'both');
  repository.commit({ a: 'branch' });
  assert.deepEqual(listing(await snapshot('app.git#both')), { a: '644 branch' });
  assert.deepEqual(listing(await snapshot('app.git#refs/tags/both')), { a: '644 tagged' });
});

test('what counts for the files counts for the key', async () => {
  repository.commit({ 'dir/a': 'a' });
  const attributes: Attributes[] = [
    {},
    { 'git.keepgitdir': 'true' },
    { 'git.skipsubmodules': 'true' },
    { 'git.mtime': 'commit' },
  ];
  const keys = [
    ...(await Promise.all(attributes.map((attrs) => key('app.git', attrs)))),
    await key('app.git#main:dir'),
  ].map(({ digest }) => digest);
  assert.equal(new Set(keys).size, keys.length);
  const named = await key('app.git#refs/heads/main', { 'git.keepgitdir': 'true' });
  assert.equal(named.digest, keys[1]);
});

test('the next commit is fetched into the same mirror, and one that is there is not fetched', async () => {
  const first = repository.commit({ a: 'one', big: 'x'.repeat(100_000) });
  assert.equal(readFileSync(path.join(await snapshot('app.git'), 'a'), 'utf8'), 'one');
  repository.commit({ a: 'two' });
  assert.equal(readFileSync(path.join(await snapshot('app.git'), 'a'), 'utf8'), 'two');
  server.requests.length = 0;
  assert.equal(readFileSync(path.join(await snapshot(`app.git#${first}`), 'a'), 'utf8'), 'one');
  assert.deepEqual(server.requests, []);
  const mirrors = (await diskUsage.list()).filter(({ description }) =>
    description.startsWith('shared git repo'),
  );
  assert.equal(mirrors.length, 1);
});

test('a build sees one commit under one name; the next build sees the new one', async () => {
  const first = repository.commit({ a: 'one' });
  const build = context();
  assert.equal((await key('app.git#main', {}, build)).pin, first);
  const second = repository.commit({ a: 'two' });
  assert.equal((await key('app.git#main', {}, build)).pin, first);
  assert.equal((await key('app.git#main')).pin, second);
});

test('the commit of the key is checked out, also when the ref has moved on since', async () => {
  repository.commit({ a: 'one' });
  const instance = open('app.git#main');
  const build = context();
  await instance.key(build);
  repository.git('commit', '--quiet', '--amend', '--message=it is gone from the branch');
  repository.commit({ a: 'two' });
  const ref = resources.adopt(await instance.snapshot(build), (held) => held.release());
  assert.deepEqual(listing(await directoryOf(ref)), { a: '644 one' });
});

test('builds that want the same repository at the same time wait for each other', async () => {
  const commits = ['one', 'two', 'three'].map((text) => repository.commit({ a: text }));
  const directories = await Promise.all(commits.map((commit) => snapshot(`app.git#${commit}`)));
  assert.deepEqual(
    directories.map((directory) => readFileSync(path.join(directory, 'a'), 'utf8')),
    ['one', 'two', 'three'],
  );
});

test('with its git directory a checkout is a clean repository at the commit', async () => {
  const commit = repository.commit({ a: 'a' });
  repository.git('tag', '--annotate', '--message=x', 'v1');
  const plain = path.join(dir, 'plain');
  execFileSync('git', ['init', '--quiet', plain]);
  for (const [name, refs] of [
    ['app.git#main', ['refs/heads/main']],
    ['app.git#v1', ['refs/tags/v1']],
    [`app.git#${commit}`, []],
  ] as const) {
    const directory = await snapshot(name, { 'git.keepgitdir': 'true' });
    assert.equal(gitIn(directory, 'rev-parse', 'HEAD'), commit);
    assert.equal(gitIn(directory, 'status', '--porcelain'), '');
    assert.equal(gitIn(directory, 'remote', 'get-url', 'origin'), server.url('app.git'));
    assert.deepEqual(
      gitIn(directory, 'for-each-ref', '--format=%(refname)').split('\n').filter(Boolean),
      refs,
    );
    const made = readdirSync(path.join(plain, '.git'));
    const kept = readdirSync(path.join(directory, '.git'));
    assert.deepEqual(
      made.filter((file) => !kept.includes(file)),
      [],
    );
    assert.equal(kept.includes('FETCH_HEAD'), false);
    // Git empties the logs that it makes: they would tell when and where this was done.
    const logs = ['HEAD', ...refs.filter((ref) => ref.startsWith('refs/heads/'))];
    for (const log of logs) assert.equal(readFileSync(path.join(directory, '.git/logs', log), 'utf8'), '');
  }
});

test('a directory of the repository can be the tree, with the attributes of those above', async () => {
  repository.commit({
    '.gitattributes': '*.bat text eol=crlf\n',
    top: 'x',
    'a/b/c.bat': 'one\n',
    'a/b/d/e': 'e',
    'a/link': { link: 'b' },
    'a/file': 'f',
  });
  const wanted = { 'c.bat': '644 one\r\n', d: '755/', 'd/e': '644 e' };
  assert.deepEqual(listing(await snapshot('app.git#main:a/b')), wanted);
  assert.deepEqual(listing(await snapshot('app.git#:/a/x/../b/')), wanted);
  assert.deepEqual(listing(await snapshot('app.git#main:a/b', { 'git.keepgitdir': 'true' })), wanted);
  await assert.rejects(snapshot('app.git#main:a/none'), {
    code: 'not_found',
    message: /invalid subdir a\/none/,
  });
  for (const other of ['a/link', 'a/file']) {
    await assert.rejects(snapshot(`app.git#main:${other}`), {
      code: 'failed_precondition',
      message: /not a directory/,
    });
  }
  await assert.rejects(snapshot('app.git#main:a/link/d'), { code: 'not_found' });
});

test('submodules come with it, also those of submodules, from the repository they are relative to', async () => {
  const deep = new GitRepository(path.join(dir, 'served/libs/deep.git'));
  const inner = new GitRepository(path.join(dir, 'served/libs/inner.git'));
  inner.commit({ i: 'i' });
  inner.addSubmodule('nested', './../deep.git', deep.commit({ x: 'x' }));
  repository.commit({ a: 'a' });
  repository.addSubmodule('sub/inner', '../libs/inner.git', inner.git('rev-parse', 'HEAD'));
  const all = {
    '.gitmodules': /^644 /,
    a: /^644 a$/,
    sub: /^755\/$/,
    'sub/inner': /^755\/$/,
    'sub/inner/.gitmodules': /^644 /,
    'sub/inner/i': /^644 i$/,
    'sub/inner/nested': /^755\/$/,
    'sub/inner/nested/x': /^644 x$/,
  };
  const matches = (found: Record<string, string>, wanted: Record<string, RegExp>) => {
    assert.deepEqual(Object.keys(found), Object.keys(wanted));
    for (const [name, pattern] of Object.entries(wanted)) assert.match(found[name]!, pattern);
  };
  matches(listing(await snapshot('app.git')), all);
  assert.deepEqual(Object.keys(listing(await snapshot('app.git', { 'git.skipsubmodules': 'true' }))), [
    '.gitmodules',
    'a',
    'sub',
    'sub/inner',
  ]);
  assert.deepEqual(Object.keys(listing(await snapshot('app.git#main:sub'))), [
    'inner',
    'inner/.gitmodules',
    'inner/i',
    'inner/nested',
    'inner/nested/x',
  ]);
  assert.deepEqual(listing(await snapshot('app.git#main:sub/inner/nested')), { x: '644 x' });
  await assert.rejects(snapshot('app.git#main:sub/inner', { 'git.skipsubmodules': 'true' }), {
    message: /sub\/inner: it is a submodule that is left out/,
  });
  const kept = await snapshot('app.git', { 'git.keepgitdir': 'true' });
  assert.equal(readFileSync(path.join(kept, 'sub/inner/nested/x'), 'utf8'), 'x');
  assert.equal(gitIn(path.join(kept, 'sub/inner'), 'status', '--porcelain'), '');
});

test('a submodule may be another commit of the same repository', async () => {
  const first = repository.commit({ a: 'old' });
  repository.addSubmodule('before', './', first);
  repository.commit({ a: 'new' });
  const directory = await snapshot('app.git');
  assert.equal(readFileSync(path.join(directory, 'before/a'), 'utf8'), 'old');
  assert.equal(readFileSync(path.join(directory, 'a'), 'utf8'), 'new');
});

test('no file of the machine comes in as a submodule', async () => {
  const other = new GitRepository(path.join(dir, 'other'));
  const commit = other.commit({ secret: 'x' });
  repository.commit({ a: 'a' });
  repository.addSubmodule('sub', `file://${other.directory}`, commit);
  await assert.rejects(snapshot('app.git'), {
    code: 'failed_precondition',
    message: /submodule sub of .* has the url "file:/,
  });
  await assert.rejects(snapshot('app.git', { 'git.keepgitdir': 'true' }), { code: 'permission_denied' });
});

test('a checksum is compared with the commit, or the tag of it', async () => {
  const commit = repository.commit({ a: 'a' });
  repository.git('tag', '--annotate', '--message=x', 'v1');
  const tag = repository.git('rev-parse', 'v1');
  const check = (name: string, checksum: string) => key(name, { 'git.checksum': checksum });
  for (const checksum of [commit, commit.slice(0, 7), commit.toUpperCase()])
    await check('app.git#main', checksum);
  for (const checksum of [commit, tag.slice(0, 10)]) await check('app.git#v1', checksum);
  await check(`app.git#${commit}`, commit.slice(0, 12));
  const other = commit.replace(/./g, (digit) => (digit === 'a' ? 'b' : 'a'));
  for (const name of ['app.git#main', 'app.git#v1', `app.git#${commit}`]) {
    await assert.rejects(check(name, other), {
      code: 'failed_precondition',
      message: new RegExp(`expected checksum to match ${other}, got ([0-9a-f]+ or )?${commit}`),
    });
  }
  assert.throws(() => open('app.git', { 'git.checksum': 'v1' }), { code: 'invalid_argument' });
});

test('with fetch-by-commit the remote is not asked what the ref is', async () => {
  const first = repository.commit({ a: 'one' });
  repository.commit({ a: 'two' });
  const attrs = { 'git.fetchbycommit': 'true', 'git.checksum': first };
  assert.equal((await key('app.git#main', attrs)).pin, first);
  assert.deepEqual(server.requests, []);
  const directory = await snapshot('app.git#main', { ...attrs, 'git.keepgitdir': 'true' });
  assert.equal(gitIn(directory, 'rev-parse', 'refs/heads/main'), first);
  for (const checksum of ['', first.slice(0, 9)]) {
    assert.throws(() => open('app.git', { 'git.fetchbycommit': 'true', 'git.checksum': checksum }), {
      code: 'invalid_argument',
      message: /fetch-by-commit requires a/,
    });
  }
});

test('a ref that does not exist is an error that names it, the repository, and what may be meant', async () => {
  const commit = repository.commit({ a: 'a' });
  const fails = (name: string, hint: RegExp) =>
    assert.rejects(key(name), (error: KilnError) => {
      assert.equal(error.code, 'not_found');
      assert.ok(
        error.message.startsWith(
          `repository does not contain ref ${name.split('#')[1]}: ${server.url('app.git')}`,
        ),
      );
      assert.match(error.hint ?? '', hint);
      return true;
    });
  await fails('app.git#mian', /did you mean main\?/);
  await fails('app.git#something-else', /name a branch, a tag/);
  await fails(`app.git#${commit.slice(0, 8)}`, /write all its digits/);
  new GitRepository(path.join(dir, 'served/empty.git'));
  await assert.rejects(key('empty.git'), { code: 'not_found', message: /empty\.git is empty/ });
  const unknown = commit.replace(/./g, 'a');
  await assert.rejects(snapshot(`app.git#${unknown}`), {
    code: 'not_found',
    message: new RegExp(`commit ${unknown}`),
  });
  await assert.rejects(key('none.git'), { code: 'not_found', message: /none\.git/ });
});

test('who asks is told what a ref is, and what git keeps of it', async () => {
  const commit = repository.commit({ a: 'a' });
  repository.git('tag', '--annotate', '--message=x', 'v1');
  const tag = repository.git('rev-parse', 'v1');
  const describe = (name: string, withObjects = false) =>
    source.resolveCommit(opOf(name), { withObjects }, context());
  const nothing = { commit: undefined, commitObject: undefined, tagObject: undefined };
  assert.deepEqual(await describe('app.git'), { ref: 'refs/heads/main', object: commit, ...nothing });
  assert.deepEqual(await describe(`app.git#${tag}`), { ref: tag, object: tag, ...nothing });
  assert.deepEqual((await diskUsage.list()).length, 0);
  const content = (object: string, type: string) =>
    Buffer.from(`${repository.git('cat-file', type, object)}\n`);
  for (const name of ['app.git#v1', `app.git#${tag}`]) {
    const { ref, ...told } = await describe(name, true);
    assert.equal(ref, name.endsWith('v1') ? 'refs/tags/v1' : tag);
    assert.deepEqual(told, {
      object: tag,
      commit,
      commitObject: content(commit, 'commit'),
      tagObject: content(tag, 'tag'),
    });
  }
  const { commit: peeled, tagObject } = await describe('app.git#main', true);
  assert.deepEqual([peeled, tagObject], [undefined, undefined]);
});

test('identifiers and attributes that make no sense are refused', () => {
  const refuse = (identifier: string, attrs: Attributes, code: string, message: RegExp) =>
    assert.throws(() => source.open({ identifier, attrs }, hostPlatform()), { code, message });
  refuse('git://h/r.git#--upload-pack=x', {}, 'invalid_argument', /invalid git ref "--upload-pack=x"/);
  refuse('git://h/r', { 'git.fullurl': 'file:///etc' }, 'invalid_argument', /is no git repository/);
  refuse('git://h/r', { 'git.mtime': 'now' }, 'invalid_argument', /want checkout or commit/);
  refuse('git://h/r', { 'git.sig.pubkey': 'x' }, 'unimplemented', /git\.sig\.pubkey/);
});

test('secrets of the client open a repository, those for its host first', async () => {
  repository.commit({ a: 'a' });
  const basic = (token: string) => `basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
  const attrs = { 'git.authtokensecret': 'TOKEN', 'git.authheadersecret': 'HEADER' };
  server.behaviour.authorization = basic('right');
  await assert.rejects(key('app.git', attrs), (error: KilnError) => {
    assert.equal(error.code, 'unauthenticated');
    assert.match(error.message, /app\.git/);
    assert.match(error.hint ?? '', /--secret id=GIT_AUTH_TOKEN/);
    return true;
  });
  secrets.set('TOKEN', 'wrong');
  await assert.rejects(key('app.git', attrs), { code: 'unauthenticated' });
  secrets.set(`TOKEN.${server.host}`, 'right\n');
  assert.deepEqual(listing(await snapshot('app.git', attrs)), { a: '644 a' });
  server.behaviour.authorization = 'bearer abc';
  secrets.set('HEADER', 'bearer abc');
  await assert.rejects(key('app.git', attrs), { code: 'unauthenticated' });
  secrets.set(`HEADER.${server.host}`, 'bearer abc');
  await key('app.git', attrs);
});

test('a token for one repository is not shown to another', async () => {
  const other = new GitRepository(path.join(dir, 'served/other.git'));
  repository.commit({ a: 'a' });
  repository.addSubmodule('sub', '../other.git', other.commit({ b: 'b' }));
  const seen = new Map<string, string | undefined>();
  server.behaviour.onRequest = ({ url, headers }) => {
    seen.set(url!.split('/')[1]!, headers.authorization);
  };
  secrets.set('TOKEN', 'secret');
  for (const keep of ['false', 'true']) {
    seen.clear();
    await snapshot('app.git', { 'git.authtokensecret': 'TOKEN', 'git.keepgitdir': keep });
    assert.equal(seen.get('other.git'), undefined);
    assert.ok(seen.has('other.git'));
  }
});

test('credentials in a URL are used, and shown nowhere', async () => {
  repository.commit({ a: 'a' });
  server.behaviour.authorization = `Basic ${Buffer.from('user:pass').toString('base64')}`;
  const said: string[] = [];
  const progress: ProgressWriter = { ...silentProgress, status: ({ id }) => said.push(id) };
  const attrs = { 'git.fullurl': `http://user:pass@${server.host}/app.git`, 'git.keepgitdir': 'true' };
  const ref = await snapshotRef('app.git', attrs, context({ progress }));
  const directory = await directoryOf(ref);
  assert.equal(gitIn(directory, 'remote', 'get-url', 'origin'), `http://xxxxx:xxxxx@${server.host}/app.git`);
  const told = [...said, ...(await diskUsage.list()).map(({ description }) => description)].join('\n');
  assert.doesNotMatch(told, /pass/);
  assert.equal(spawnSync('grep', ['-rq', 'user:pass', dir]).status, 1);
  server.behaviour.authorization = 'other';
  await assert.rejects(key('app.git', attrs), (error: KilnError) => {
    assert.doesNotMatch(error.message, /pass/);
    return error.code === 'unauthenticated';
  });
});

test('servers that give only what refs point to are asked for all of it', async () => {
  server.behaviour.kind = 'old';
  const first = repository.commit({ a: 'one' });
  repository.commit({ a: 'two' });
  assert.deepEqual(listing(await snapshot('app.git#main')), { a: '644 two' });
  assert.deepEqual(listing(await snapshot(`app.git#${first}`)), { a: '644 one' });
  const unknown = first.replace(/./g, 'b');
  await assert.rejects(snapshot(`app.git#${unknown}`), { code: 'not_found' });
});

test('servers of files without a git work too', async () => {
  server.behaviour.kind = 'dumb';
  const first = repository.commit({ a: 'one' });
  repository.commit({ a: 'two' });
  assert.deepEqual(listing(await snapshot('app.git#main')), { a: '644 two' });
  assert.deepEqual(listing(await snapshot(`app.git#${first}`)), { a: '644 one' });
  const library = new GitRepository(path.join(dir, 'served/library.git'));
  repository.addSubmodule('library', '../library.git', library.commit({ l: 'l' }));
  const kept = await snapshot('app.git#main', { 'git.keepgitdir': 'true' });
  assert.equal(gitIn(kept, 'status', '--porcelain'), '');
  assert.match(listing(kept)['library/l'] ?? '', /^644 l$/);
});

test('repositories with SHA-256 names work', async () => {
  const modern = new GitRepository(path.join(dir, 'served/modern.git'), { format: 'sha256' });
  const commit = modern.commit({ a: 'a' });
  assert.equal(commit.length, 64);
  assert.deepEqual(listing(await snapshot('modern.git')), { a: '644 a' });
  const kept = await snapshot(`modern.git#${commit}`, { 'git.keepgitdir': 'true' });
  assert.equal(gitIn(kept, 'rev-parse', 'HEAD'), commit);
});

test('files can have the time of the commit', async () => {
  repository.commit({ 'dir/a': 'a', link: { link: 'nowhere' } });
  const time = Number(repository.git('log', '-1', '--format=%ct')) * 1000;
  const directory = await snapshot('app.git', { 'git.mtime': 'commit', 'git.keepgitdir': 'true' });
  for (const name of ['', 'dir', 'dir/a', 'link', '.git', '.git/HEAD']) {
    assert.equal(lstatSync(path.join(directory, name)).mtimeMs, time, name);
  }
});

test('a damaged mirror is made anew', async () => {
  const commit = repository.commit({ a: 'a' });
  await snapshot('app.git');
  const mirror = execFileSync('find', [path.join(dir, 'snapshots'), '-name', '*.pack'], {
    encoding: 'utf8',
  }).trim();
  rmSync(mirror);
  assert.deepEqual(listing(await snapshot(`app.git#${commit}`)), { a: '644 a' });
  rmSync(execFileSync('find', [path.join(dir, 'snapshots'), '-name', '*.pack'], { encoding: 'utf8' }).trim());
  repository.commit({ b: 'b' });
  assert.deepEqual(listing(await snapshot('app.git#main')), { a: '644 a', b: '644 b' });
});

test('what a killed git left does not stop the next one', async () => {
  repository.commit({ a: 'a' });
  await snapshot('app.git');
  const shallow = execFileSync('find', [path.join(dir, 'snapshots'), '-name', 'shallow'], {
    encoding: 'utf8',
  }).trim();
  symlinkSync('nowhere', `${shallow}.lock`);
  repository.commit({ a: 'b' });
  assert.deepEqual(listing(await snapshot('app.git')), { a: '644 b' });
});

test('an abort ends git and leaves nothing', async () => {
  repository.commit({ a: 'a' });
  const stop = new AbortController();
  const asked = Promise.withResolvers<void>();
  const instance = open('app.git');
  const build = context({ signal: stop.signal });
  await instance.key(build);
  server.behaviour.onRequest = ({ method }) => {
    if (method !== 'POST') return;
    asked.resolve();
    return new Promise<void>(() => {});
  };
  const failure = assert.rejects(instance.snapshot(build), { code: 'canceled' });
  await asked.promise;
  stop.abort();
  await failure;
  assert.equal(childrenNamed(server.host), '');
  assert.deepEqual(
    (await diskUsage.list()).map(({ description, inUse }) => [description, inUse]),
    [[`shared git repo for ${server.url('app.git')}`, false]],
  );
  delete server.behaviour.onRequest;
  assert.deepEqual(listing(await snapshot('app.git')), { a: '644 a' });
});

test('what goes on is shown, with the bytes that came', async () => {
  repository.commit({ a: 'a' });
  const events: StatusEvent[] = [];
  const progress = { ...silentProgress, status: (event: StatusEvent) => events.push(event) };
  await snapshot('app.git#main', {}, context({ progress }));
  const ended = events.filter(({ completed }) => completed);
  assert.deepEqual(
    ended.map(({ id }) => id),
    [
      `resolve ${server.url('app.git')}#main`,
      `fetch ${server.url('app.git')}`,
      `checkout ${server.url('app.git')}`,
    ],
  );
  assert.ok(ended[1]!.current! > 0);
});

test('without a git program the error says so', async () => {
  const before = process.env.PATH;
  const empty = path.join(dir, 'bin');
  mkdirSync(empty);
  symlinkSync('/bin/sh', path.join(empty, 'sh'));
  process.env.PATH = empty;
  try {
    await assert.rejects(key('app.git'), { code: 'failed_precondition', message: /there is no git program/ });
  } finally {
    process.env.PATH = before;
  }
});

function childrenNamed(text: string): string {
  const running = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
  return running
    .split('\n')
    .filter((line) => line.startsWith('git') && line.includes(text))
    .join('\n');
}
