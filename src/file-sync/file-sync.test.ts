import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import type { KilnError } from '../base/errors.ts';
import { getXattr } from '../linux/xattr.ts';
import type { SyncRequest } from '../session/session.ts';
import { openSessionRig } from '../session/session-rig.ts';
import { FileSyncRig, made, plainRequest, treeOf, writeSample } from './file-sync-rig.ts';
import { fileSyncService } from './file-sync-service.ts';
import { listDirectory } from './list-directory.ts';

const rig = new FileSyncRig();
after(() => rig[Symbol.asyncDispose]());
const { pool, newDir } = rig;
const sync = rig.sync.bind(rig);
const receive = rig.receive.bind(rig);

test('a tree arrives through the tunnel with all its kinds of files, times, modes, names and attributes', async () => {
  const source = newDir();
  writeSample(source);
  await using rig = await openSessionRig([fileSyncService(new Map([['context', source]]), { pool })]);
  const synced = made(await receive(rig.session));
  assert.deepEqual(treeOf(synced.dir), treeOf(source));
  assert.deepEqual(getXattr(path.join(synced.dir, 'large'), 'user.note'), Buffer.from([0, 1, 255]));
  assert.equal(statSync(path.join(synced.dir, 'hard')).ino, statSync(path.join(synced.dir, 'a/b/deep')).ino);
  const { uid, gid } = statSync(path.join(synced.dir, 'setuid'));
  assert.deepEqual([uid, gid], [0, 0], 'owners are reset');
  for (const name of ['a/b/deep', 'hard']) {
    const content = synced.digests.find((digest) => digest.path === name)?.content;
    const hashed = `${content?.header}deep`;
    assert.equal(content?.sha256, createHash('sha256').update(hashed).digest('hex'));
  }
});

test('patterns and followed paths choose what travels, parents included', async () => {
  const source = newDir();
  for (const file of [
    'src/a.c',
    'src/b.h',
    'src/sub/c.c',
    'node_modules/x/y.js',
    'node_modules/keep/z.js',
    'top.md',
  ]) {
    mkdirSync(path.dirname(path.join(source, file)), { recursive: true });
    writeFileSync(path.join(source, file), file);
  }
  mkdirSync(path.join(source, 'real/dir'), { recursive: true });
  writeFileSync(path.join(source, 'real/dir/file'), 'real');
  symlinkSync('/real', path.join(source, 'link'));
  const names = async (request: Partial<SyncRequest>) =>
    treeOf(made(await sync(source, request)).dir).map((line) => line.split(' ')[0]);
  assert.deepEqual(await names({ includePatterns: ['src/**/*.c'] }), [
    'src',
    'src/a.c',
    'src/sub',
    'src/sub/c.c',
  ]);
  assert.deepEqual(
    await names({ excludePatterns: ['node_modules', '!node_modules/keep', 'src', 'real', 'link'] }),
    ['node_modules', 'node_modules/keep', 'node_modules/keep/z.js', 'top.md'],
  );
  assert.deepEqual(await names({ includePatterns: ['src'], excludePatterns: ['**/*.h', 'src/sub'] }), [
    'src',
    'src/a.c',
  ]);
  assert.deepEqual(await names({ followPaths: ['link/dir/file'] }), [
    'link',
    'real',
    'real/dir',
    'real/dir/file',
  ]);
  assert.deepEqual(await names({ followPaths: ['l*'] }), ['link', 'real', 'real/dir', 'real/dir/file']);
  assert.equal((await names({ followPaths: ['.'] })).length, treeOf(source).length);
  await assert.rejects(names({ includePatterns: ['a['] }), /malformed pattern/);
});

test('the names in one directory of the client can be listed without any of its files', async () => {
  const source = newDir();
  for (const file of ['top', 'a/b', 'a/c/deep', 'a/ignored', '[x]/y', 'x/z']) {
    mkdirSync(path.dirname(path.join(source, file)), { recursive: true });
    writeFileSync(path.join(source, file), file);
  }
  await using rig = await openSessionRig([fileSyncService(new Map([['context', source]]), { pool })]);
  const list = (directory: string, excludePatterns: readonly string[] = []) =>
    listDirectory(rig.session, { ...plainRequest, excludePatterns, followPaths: ['top'] }, directory);
  assert.deepEqual(await list(''), ['[x]', 'a', 'top', 'x']);
  assert.deepEqual(await list('a', ['**/ignored', '!a/c']), ['b', 'c']);
  assert.deepEqual(await list('[x]'), ['y']);
  assert.deepEqual(await list('nowhere'), []);
  mkdirSync(path.join(source, 'many'));
  for (let at = 0; at <= 10_000; at++) writeFileSync(path.join(source, 'many', `${at}`), '');
  await assert.rejects(list('many'), /many has more than 10000 entries/);
});

test('hard links whose first name is left out still arrive as links to each other', async () => {
  const source = newDir();
  writeFileSync(path.join(source, 'a'), 'data');
  linkSync(path.join(source, 'a'), path.join(source, 'b'));
  linkSync(path.join(source, 'a'), path.join(source, 'c'));
  const { dir } = made(await sync(source, { excludePatterns: ['a'] }));
  assert.equal(readFileSync(path.join(dir, 'b'), 'utf8'), 'data');
  assert.equal(statSync(path.join(dir, 'b')).ino, statSync(path.join(dir, 'c')).ino);
  assert.equal(statSync(path.join(dir, 'b')).nlink, 2);
});

test('a name that is not ASCII reaches the client', async () => {
  const source = newDir();
  writeFileSync(path.join(source, 'größe'), 'x');
  await using rig = await openSessionRig([fileSyncService(new Map([['тест', source]]), { pool })]);
  const { dir } = made(await receive(rig.session, { name: 'тест', includePatterns: ['größe', 'a, b'] }));
  assert.deepEqual(readdirSync(dir), ['größe']);
});

test('only metadata travels, apart from the exceptions, and is left as a file', async () => {
  const source = newDir();
  mkdirSync(path.join(source, 'd'));
  writeFileSync(path.join(source, 'd/wanted'), 'wanted');
  writeFileSync(path.join(source, 'd/other'), 'other');
  const metadataOnly = { exceptions: ['d/wanted'] };
  const first = made(await sync(source, { metadataOnly }));
  const { dir, result } = first;
  assert.ok(result.kind === 'changed');
  assert.equal(result.transferred, 1);
  assert.deepEqual(readdirSync(path.join(dir, 'd')), ['wanted']);
  const metadata = readFileSync(path.join(dir, '.fsutil-metadata'));
  const paths: string[] = [];
  for (let at = 0; at < metadata.length; at += 4 + metadata.readUInt32LE(at)) {
    const stat = metadata.subarray(at + 4, at + 4 + metadata.readUInt32LE(at));
    paths.push(stat.toString('utf8', 2, 2 + stat[1]!));
  }
  assert.deepEqual(paths, ['d', 'd/other', 'd/wanted']);

  writeFileSync(path.join(source, 'd/other'), 'other one');
  for (const access of ['read', 'change'] as const) {
    const next = made(await sync(source, { metadataOnly }, { tree: first, access }));
    assert.ok(next.result.kind === 'changed' && next.result.transferred === 0);
    assert.notDeepEqual(readFileSync(path.join(next.dir, '.fsutil-metadata')), metadata);
    assert.equal(readFileSync(path.join(next.dir, 'd/wanted'), 'utf8'), 'wanted');
  }
});

test('a directory that the client does not offer, or that is gone, is said clearly', async () => {
  const gone = path.join(newDir(), 'gone');
  await using rig = await openSessionRig([fileSyncService(new Map([['context', gone]]), { pool })]);
  await assert.rejects(
    receive(rig.session, { name: 'other' }),
    /no access allowed to a local directory "other"/,
  );
  await assert.rejects(receive(rig.session), (error: KilnError) => {
    assert.equal(error.code, 'not_found');
    assert.match(error.message, /local directory "context" at .*gone/);
    return true;
  });
});

/** A client that says what it wants. */
test('thousands of small files arrive', async () => {
  const source = newDir();
  for (let dir = 0; dir < 20; dir++) {
    mkdirSync(path.join(source, `d${dir}`));
    for (let file = 0; file < 100; file++)
      writeFileSync(path.join(source, `d${dir}/f${file}`), `${dir} ${file}`);
  }
  const first = made(await sync(source));
  assert.deepEqual(treeOf(first.dir), treeOf(source));
  assert.equal((await sync(source, {}, { tree: first, access: 'read' })).result.kind, 'unchanged');
  assert.equal(existsSync(path.join(first.dir, 'd19/f99')), true);
});
