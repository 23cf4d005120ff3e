import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { FileSync } from '../../api/gen/session_filesync_pb.js';
import type { CallHandler } from '../../api/message-stream.ts';
import { methodPath } from '../../api/unary-call.ts';
import { KilnError } from '../../base/errors.ts';
import { ThreadPool } from '../../base/threads/thread-pool.ts';
import { inMemorySession } from '../../session/in-memory-session.ts';
import { createServiceHost } from '../../session/service-host.ts';
import { openSessionRig } from '../../session/session-rig.ts';
import { FileSyncRig, plainRequest } from '../file-sync-rig.ts';
import type { FileStat } from '../protocol/file-stat.ts';
import { goMode } from '../protocol/go-mode.ts';
import { PacketEncoder } from '../protocol/packet.ts';
import { syncDirectory } from '../sync-directory.ts';

const rig = new FileSyncRig();
after(() => rig[Symbol.asyncDispose]());
const { pool, newDir } = rig;
const receive = rig.receive.bind(rig);

async function receiveFrom(handler: CallHandler, into?: string): Promise<void> {
  const service = { [methodPath(FileSync.method.diffCopy)]: handler };
  await using session = inMemorySession(createServiceHost([service]), { id: 's', name: '', sharedKey: '' });
  if (into === undefined) await receive(session);
  else
    await syncDirectory(session, plainRequest, { kind: 'existing-tree', dir: into, mirror: false }, { pool });
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
    plainRequest,
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
      plainRequest,
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
