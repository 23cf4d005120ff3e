import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { FileSync } from '../api/gen/session_filesync_pb.js';
import type { CallHandler, Metadata } from '../api/message-stream.ts';
import { methodPath } from '../api/unary-call.ts';
import { KilnError } from '../base/errors.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { utimens } from '../linux/utimens.ts';
import { getXattr, setXattr } from '../linux/xattr.ts';
import { inMemorySession } from '../session/in-memory-session.ts';
import { createServiceHost } from '../session/service-host.ts';
import type { SyncRequest } from '../session/session.ts';
import { openSessionRig } from '../session/session-rig.ts';
import { fileSyncService } from './file-sync-service.ts';
import { listDirectory } from './list-directory.ts';
import type { FileStat } from './protocol/file-stat.ts';
import { goMode } from './protocol/go-mode.ts';
import { decodePacket, PacketEncoder } from './protocol/packet.ts';
import type { BaselineAccess, FileDigest, ReceiveResult } from './receive/received-tree.ts';
import { sendTrees } from './send/send.ts';
import { syncDirectory } from './sync-directory.ts';

const root = mkdtempSync(path.join(tmpdir(), 'kiln-file-sync-'));
const pool = new ThreadPool({ size: 4 });
after(async () => {
  await pool[Symbol.asyncDispose]();
  rmSync(root, { recursive: true });
});
let directories = 0;
function newDir(): string {
  const dir = path.join(root, `d${directories++}`);
  mkdirSync(dir);
  return dir;
}

const plain: SyncRequest = {
  name: 'context',
  includePatterns: [],
  excludePatterns: [],
  followPaths: [],
  differ: 'metadata',
};

/** Everything below a directory by path, as one line each. */
function treeOf(dir: string, prefix = ''): string[] {
  return readdirSync(path.join(dir, prefix), { encoding: 'latin1' })
    .sort()
    .flatMap((name) => {
      const relative = prefix === '' ? name : `${prefix}/${name}`;
      const file = Buffer.from(path.join(dir, relative), 'latin1');
      const info = lstatSync(file, { bigint: true });
      const link = info.isSymbolicLink() ? ` -> ${readlinkSync(file)}` : '';
      const data = info.isFile()
        ? createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 8)
        : '';
      const links = info.isDirectory() ? '' : info.nlink;
      const line = `${relative} ${info.mode.toString(8)} ${links} ${info.mtimeNs} ${info.rdev} ${data}${link}`;
      return info.isDirectory() ? [line, ...treeOf(dir, relative)] : [line];
    });
}

interface Synced {
  readonly result: ReceiveResult;
  /** Where the tree is, if it is another than before. */
  readonly dir: string | undefined;
  readonly digests: readonly FileDigest[];
}

/** A tree that was synced before, and what may be done with it. */
interface Last {
  readonly tree: Synced & { readonly dir: string };
  readonly access: BaselineAccess;
  readonly superseded?: boolean;
}

/** Syncs `source` in memory, into a new directory or into that of the last tree. */
async function sync(source: string, request: Partial<SyncRequest> = {}, last?: Last): Promise<Synced> {
  const service = fileSyncService(new Map([['context', source]]), { pool });
  await using session = inMemorySession(createServiceHost([service]), { id: 's', name: '', sharedKey: '' });
  return await receive(session, request, last);
}

async function receive(
  session: Parameters<typeof syncDirectory>[0],
  request: Partial<SyncRequest> = {},
  last?: Last,
): Promise<Synced> {
  let dir: string | undefined;
  const digests: FileDigest[] = [];
  const result = await syncDirectory(
    session,
    { ...plain, ...request },
    {
      kind: 'new-tree',
      baseline:
        last?.tree.result.kind === 'changed'
          ? {
              manifest: last.tree.result.manifest,
              superseded: last.superseded ?? true,
              open: async (wish) => ({
                dir: last.tree.dir,
                access: last.access === 'change' ? wish : 'read',
              }),
            }
          : undefined,
      async makeDirectory() {
        dir = newDir();
        return dir;
      },
    },
    { pool, onDigests: (some) => digests.push(...some) },
  );
  if (result.kind === 'changed' && result.made === 'in-place') dir = last!.tree.dir;
  return { result, dir, digests };
}

function made(synced: Synced): Synced & { readonly dir: string } {
  assert.ok(synced.dir !== undefined);
  return synced as Synced & { readonly dir: string };
}

function writeSample(dir: string): void {
  mkdirSync(path.join(dir, 'a/b'), { recursive: true });
  writeFileSync(path.join(dir, 'a/b/deep'), 'deep');
  writeFileSync(path.join(dir, 'a-file'), 'sorts between a and a/b as text');
  writeFileSync(path.join(dir, 'empty'), '');
  writeFileSync(path.join(dir, 'large'), Buffer.alloc(3_000_001, 'x'));
  writeFileSync(path.join(dir, 'setuid'), 'run me');
  chmodSync(path.join(dir, 'setuid'), 0o4755);
  chownSync(path.join(dir, 'setuid'), 1000, 1000);
  chmodSync(path.join(dir, 'setuid'), 0o4755);
  linkSync(path.join(dir, 'a/b/deep'), path.join(dir, 'hard'));
  symlinkSync('a/b/deep', path.join(dir, 'soft'));
  symlinkSync('/etc/passwd', path.join(dir, 'soft-out'));
  writeFileSync(Buffer.from(`${dir}/not-utf8-\xff`, 'latin1'), 'bytes');
  writeFileSync(path.join(dir, 'ümläut'), 'text');
  mknod(path.join(dir, 'fifo'), 0o010644);
  mknod(path.join(dir, 'null'), 0o020666, makeDevice(1, 3));
  setXattr(path.join(dir, 'large'), 'user.note', Buffer.from([0, 1, 255]));
  utimens(path.join(dir, 'large'), 1_600_000_000_123_456_789n, 1_600_000_000_123_456_789n);
  utimens(path.join(dir, 'soft'), -5n, -5n);
  mkdirSync(path.join(dir, 'closed'), { mode: 0o500 });
  utimens(path.join(dir, 'a'), 1n, 1_234_567_890_000_000_001n);
}

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
  const expected = createHash('sha256').update('deep').digest('hex');
  for (const name of ['a/b/deep', 'hard']) {
    assert.equal(synced.digests.find((digest) => digest.path === name)?.sha256, expected);
  }
});

for (const access of ['change', 'read'] as const) {
  test(`a second sync moves only what changed, when it may ${access} the last tree`, async () => {
    const source = newDir();
    writeSample(source);
    const first = made(await sync(source));
    const before = treeOf(first.dir);
    const { ino } = statSync(path.join(first.dir, 'large'));
    const same = await sync(source, {}, { tree: first, access });
    assert.deepEqual([same.result.kind, same.dir], ['unchanged', undefined]);

    writeFileSync(path.join(source, 'a-file'), 'changed');
    rmSync(path.join(source, 'empty'));
    mkdirSync(path.join(source, 'empty'));
    rmSync(path.join(source, 'fifo'));
    chmodSync(path.join(source, 'setuid'), 0o700);
    setXattr(path.join(source, 'closed'), 'user.note', Buffer.from('new'));
    const second = made(await sync(source, {}, { tree: first, access }));
    assert.ok(second.result.kind === 'changed');
    assert.equal(second.result.transferred, 2, 'a-file and setuid');
    assert.deepEqual(treeOf(second.dir), treeOf(source));
    assert.equal(getXattr(path.join(second.dir, 'closed'), 'user.note')?.toString(), 'new');
    const digestOf = (name: string) => second.digests.find((digest) => digest.path === name)?.sha256;
    assert.equal(digestOf('a-file'), createHash('sha256').update('changed').digest('hex'));
    if (access === 'change') {
      assert.deepEqual([second.result.made, second.dir], ['in-place', first.dir]);
      assert.equal(statSync(path.join(second.dir, 'large')).ino, ino);
      assert.deepEqual(
        second.digests.map((digest) => digest.path),
        ['a-file', 'setuid', 'fifo'],
      );
    } else {
      assert.deepEqual(treeOf(first.dir), before, 'the first tree is as it was');
      assert.notEqual(statSync(path.join(second.dir, 'large')).ino, ino);
      assert.equal(second.digests.length, first.digests.length - 1);
    }
  });

  test(`a removed file alone makes another tree, when it may ${access} the last one`, async () => {
    const source = newDir();
    writeSample(source);
    const first = made(await sync(source));
    rmSync(path.join(source, 'ümläut'));
    const second = made(await sync(source, {}, { tree: first, access }));
    assert.ok(second.result.kind === 'changed');
    assert.equal(second.result.transferred, 0);
    assert.deepEqual(treeOf(second.dir), treeOf(source));
  });

  test(`names of one file stay names of one file, and others do not become so, when it may ${access} the last tree`, async () => {
    const source = newDir();
    const at = (name: string) => path.join(source, name);
    mkdirSync(at('d'));
    for (const name of ['a', 'lone', 'x']) writeFileSync(at(name), name);
    linkSync(at('a'), at('b'));
    linkSync(at('a'), at('d/c'));
    linkSync(at('x'), at('y'));
    let last = made(await sync(source));
    const edits: readonly (() => void)[] = [
      () => linkSync(at('lone'), at('d/another')),
      () => rmSync(at('b')),
      () => rmSync(at('a')),
      () => {
        rmSync(at('x'));
        writeFileSync(at('x'), 'alone now');
      },
      () => writeFileSync(at('d/another'), 'written through one name'),
    ];
    for (const edit of edits) {
      edit();
      last = made(await sync(source, {}, { tree: last, access }));
      assert.deepEqual(treeOf(last.dir), treeOf(source));
    }
  });
}

test('a tree that is wanted as it is, too, is changed only when little of it goes', async () => {
  const source = newDir();
  for (let at = 0; at < 20; at++) writeFileSync(path.join(source, `f${at}`), 'x'.repeat(at));
  for (const [excludePatterns, made] of [
    [['f1*'], 'new'],
    [['f19'], 'in-place'],
  ] as const) {
    const tree = { ...(await sync(source)) } as Synced & { readonly dir: string };
    const { result } = await sync(source, { excludePatterns }, { tree, access: 'change', superseded: false });
    assert.equal(result.kind === 'changed' && result.made, made);
  }
});

test('other data of the same size and time is seen where the client tells change stamps, and by nobody else', async () => {
  const source = newDir();
  const files = ['written', 'replaced', 'same', 'touched'].map((name) => path.join(source, name));
  const write = (file: string, data: string) => {
    writeFileSync(file, data);
    utimens(file, 0n, 0n);
  };
  for (const file of files) write(file, 'one');
  const [written, replaced, , touched] = files;
  const change = (data: string) => {
    write(written!, data);
    write(`${replaced}.new`, data);
    renameSync(`${replaced}.new`, replaced!);
    chmodSync(touched!, 0o600);
    chmodSync(touched!, 0o644);
  };
  const first = made(await sync(source));
  change('two');
  const second = made(await sync(source, {}, { tree: first, access: 'read' }));
  assert.ok(second.result.kind === 'changed');
  assert.equal(second.result.transferred, 3, 'the two that changed, and the one that may have');
  assert.equal(readFileSync(path.join(second.dir, 'written'), 'utf8'), 'two');
  assert.equal(readFileSync(path.join(second.dir, 'replaced'), 'utf8'), 'two');
  assert.equal((await sync(source, {}, { tree: second, access: 'read' })).result.kind, 'unchanged');

  const unstamped: CallHandler = ({ stream }) =>
    sendTrees(stream, [{ dir: source, owner: { uid: 0, gid: 0 } }], { pool });
  const service = { [methodPath(FileSync.method.diffCopy)]: unstamped };
  await using other = inMemorySession(createServiceHost([service]), { id: 's', name: '', sharedKey: '' });
  change('six');
  const third = await receive(other, {}, { tree: second, access: 'read' });
  assert.equal(third.result.kind, 'unchanged');
});

test('change stamps are told only to who asks for them, and never become part of a tree', async () => {
  const source = newDir();
  writeFileSync(path.join(source, 'file'), 'data');
  const service = fileSyncService(new Map([['context', source]]), { pool });
  await using session = inMemorySession(createServiceHost([service]), { id: 's', name: '', sharedKey: '' });
  const stamps = async (metadata: Metadata) => {
    await using stream = await session.open(methodPath(FileSync.method.diffCopy), {
      'dir-name': ['context'],
      ...metadata,
    });
    for await (const message of stream) {
      const packet = decodePacket(Buffer.from(message));
      if (packet.kind === 'stat' && packet.stat) return packet.stat.changeStamp;
    }
    return undefined;
  };
  assert.equal(await stamps({}), undefined);
  assert.equal(typeof (await stamps({ 'kiln-change-stamps': ['true'] })), 'bigint');
  const request = { metadataOnly: { exceptions: [] } };
  const metadataOf = async () =>
    readFileSync(path.join(made(await sync(source, request)).dir, '.fsutil-metadata'));
  const before = await metadataOf();
  chmodSync(path.join(source, 'file'), 0o600);
  chmodSync(path.join(source, 'file'), 0o644);
  assert.deepEqual(await metadataOf(), before);
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
    listDirectory(rig.session, { ...plain, excludePatterns, followPaths: ['top'] }, directory);
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
  const gone = path.join(root, 'gone');
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
async function receiveFrom(handler: CallHandler, into?: string): Promise<void> {
  const service = { [methodPath(FileSync.method.diffCopy)]: handler };
  await using session = inMemorySession(createServiceHost([service]), { id: 's', name: '', sharedKey: '' });
  if (into === undefined) await receive(session);
  else await syncDirectory(session, plain, { kind: 'existing-tree', dir: into, mirror: false }, { pool });
}

const encoder = new PacketEncoder();
function statPacket(fields: Partial<FileStat>): Buffer {
  const stat: FileStat = {
    path: '',
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: 0n,
    linkname: '',
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    ...fields,
  };
  return encoder.encode({ kind: 'stat', stat });
}
const directoryMode = (goMode.dir | 0o755) >>> 0;
const linkMode = (goMode.symlink | 0o777) >>> 0;

test('a hostile client cannot write outside the directory', async () => {
  const outside = newDir();
  const hostile: readonly (readonly Partial<FileStat>[])[] = [
    [{ path: '../escape' }],
    [{ path: '/absolute' }],
    [{ path: 'a/../../escape' }],
    [{ path: 'a//b' }],
    [{ path: '' }],
    [{ path: '.' }],
    [{ path: 'zero\0byte' }],
    [{ path: 'missing-parent/file' }],
    [{ path: 'link', mode: linkMode, linkname: outside }, { path: 'link/file' }],
    [{ path: 'b' }, { path: 'a' }],
    [{ path: 'a' }, { path: 'a' }],
    [{ path: 'hard', linkname: '/etc/passwd' }],
    [{ path: 'hard', linkname: '../outside' }],
    [
      { path: 'link', mode: linkMode, linkname: '/etc/passwd' },
      { path: 'z', linkname: 'link' },
    ],
  ];
  for (const stats of hostile) {
    const attempt = receiveFrom(async ({ stream }) => {
      for (const stat of stats) await stream.send(statPacket(stat));
      await stream.send(encoder.encode({ kind: 'stat', stat: undefined }));
      for await (const _ of stream);
    });
    await assert.rejects(
      attempt,
      (error: KilnError) => error.code === 'invalid_argument',
      JSON.stringify(stats.map((s) => s.path)),
    );
  }
  assert.deepEqual(readdirSync(outside), []);
});

test('links that are in the way in an existing directory are replaced, never followed', async () => {
  const outside = newDir();
  writeFileSync(path.join(outside, 'victim'), 'untouched');
  const into = newDir();
  symlinkSync(outside, path.join(into, 'dir'));
  symlinkSync(path.join(outside, 'victim'), path.join(into, 'file'));
  await receiveFrom(async ({ stream }) => {
    await stream.send(statPacket({ path: 'dir', mode: directoryMode }));
    await stream.send(statPacket({ path: 'dir/inner', size: 3 }));
    await stream.send(statPacket({ path: 'file', size: 3 }));
    await stream.send(encoder.encode({ kind: 'stat', stat: undefined }));
    for (const id of [1, 2]) {
      await stream.send(encoder.encode({ kind: 'data', id, data: Buffer.from('new') }));
      await stream.send(encoder.encode({ kind: 'data', id, data: Buffer.alloc(0) }));
    }
    await waitForFin(stream);
  }, into);
  assert.deepEqual(readdirSync(outside), ['victim']);
  assert.equal(readFileSync(path.join(outside, 'victim'), 'utf8'), 'untouched');
  assert.equal(readFileSync(path.join(into, 'dir/inner'), 'utf8'), 'new');
  assert.equal(lstatSync(path.join(into, 'file')).isFile(), true);
  assert.deepEqual(readdirSync(into), ['dir', 'file']);
});

async function waitForFin(stream: AsyncIterable<Uint8Array> & { send(message: Uint8Array): Promise<void> }) {
  const fin = encoder.encode({ kind: 'fin' });
  for await (const message of stream) {
    if (Buffer.compare(message, fin) !== 0) continue;
    await stream.send(fin);
    return;
  }
}

test('data that nobody asked for, garbage, and an early end are refused', async () => {
  const attempts: readonly (readonly Buffer[])[] = [
    [encoder.encode({ kind: 'data', id: 7, data: Buffer.from('x') })],
    [encoder.encode({ kind: 'request', id: 7 })],
    [encoder.encode({ kind: 'fin' })],
    [Buffer.from([0xff, 0xff, 0xff])],
    [Buffer.from([0x12, 0x50, 1])],
    [statPacket({ path: 'a' })],
  ];
  for (const messages of attempts) {
    await assert.rejects(
      receiveFrom(async ({ stream }) => {
        for (const message of messages) await stream.send(message);
      }),
      KilnError,
    );
  }
  await assert.rejects(
    receiveFrom(async ({ stream }) => {
      await stream.send(encoder.encode({ kind: 'error', message: 'disk on fire' }));
      for await (const _ of stream);
    }),
    /disk on fire/,
  );
});

test('a file of which nothing comes, though it has a size, is an error that names it', async () => {
  await assert.rejects(
    receiveFrom(async ({ stream }) => {
      await stream.send(statPacket({ path: 'secret', size: 5 }));
      await stream.send(encoder.encode({ kind: 'stat', stat: undefined }));
      for await (const _ of stream)
        await stream.send(encoder.encode({ kind: 'data', id: 0, data: Buffer.alloc(0) }));
    }),
    /nothing was sent of secret/,
  );
});

test('a client that goes away midway ends the transfer with an error', async () => {
  const service = {
    [methodPath(FileSync.method.diffCopy)]: (async ({ stream, signal }) => {
      await stream.send(statPacket({ path: 'a', size: 1_000_000 }));
      for await (const _ of stream) break;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    }) satisfies CallHandler,
  };
  await using rig = await openSessionRig([service]);
  const asked = Promise.withResolvers<void>();
  const receiving = syncDirectory(
    rig.session,
    plain,
    {
      kind: 'new-tree',
      baseline: undefined,
      async makeDirectory() {
        asked.resolve();
        return newDir();
      },
    },
    { pool },
  );
  const failed = assert.rejects(receiving, (error: KilnError) => error.code === 'unavailable');
  await asked.promise;
  await rig.leave();
  await failed;
});

test('aborting ends a transfer at once, and frees its thread', async () => {
  const single = new ThreadPool({ size: 1 });
  const abort = new AbortController();
  const service = {
    [methodPath(FileSync.method.diffCopy)]: (async ({ stream }) => {
      await stream.send(statPacket({ path: 'a' }));
      for await (const _ of stream);
    }) satisfies CallHandler,
  };
  await using session = inMemorySession(createServiceHost([service]), { id: 's', name: '', sharedKey: '' });
  const dir = newDir();
  const transfer = () =>
    syncDirectory(
      session,
      plain,
      { kind: 'existing-tree', dir, mirror: false },
      { pool: single, signal: abort.signal },
    );
  const both = [transfer(), transfer()].map((attempt) =>
    assert.rejects(attempt, (error: KilnError) => error.code === 'canceled'),
  );
  abort.abort();
  await Promise.all(both);
  await single[Symbol.asyncDispose]();
});

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
