import assert from 'node:assert/strict';
import {
  type BigIntStats,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { FileSend, FileSync } from '../../src/api/gen/session_filesync_pb.js';
import type { MessageStream } from '../../src/api/message-stream.ts';
import { methodPath } from '../../src/api/unary-call.ts';
import { mapLimit } from '../../src/base/async/lifetime.ts';
import { KilnError } from '../../src/base/errors.ts';
import { Random } from '../../src/base/testing/random.ts';
import { ThreadPool } from '../../src/base/threads/thread-pool.ts';
import { fileSendService } from '../../src/file-sync/file-send-service.ts';
import { fileSyncService } from '../../src/file-sync/file-sync-service.ts';
import type { FileStat } from '../../src/file-sync/protocol/file-stat.ts';
import { goMode } from '../../src/file-sync/protocol/go-mode.ts';
import { decodePacket, PacketEncoder } from '../../src/file-sync/protocol/packet.ts';
import { syncDirectory } from '../../src/file-sync/sync-directory.ts';
import { mknod } from '../../src/linux/mknod.ts';
import { inMemorySession } from '../../src/session/in-memory-session.ts';
import { createServiceHost } from '../../src/session/service-host.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const work = new WorkDirectory();
const pool = new ThreadPool({ size: 4 });
after(async () => {
  await pool[Symbol.asyncDispose]();
  work[Symbol.dispose]();
});

const outside = path.join(work.path, 'outside');
const victim = path.join(outside, 'victim');
mkdirSync(outside);
writeFileSync(victim, 'untouched', { mode: 0o600 });
const victimStat = lstatSync(victim, { bigint: true });

/** Bits above the permissions: what a file is, setuid and the like, and those that mean nothing. */
const highBits = Array.from({ length: 23 }, (_, index) => 2 ** (index + 9));
/** None, each, each two of them, and some with many. */
const modes: readonly number[] = [
  0,
  ...highBits,
  ...highBits.flatMap((one, at) => highBits.slice(at + 1).map((other) => one + other)),
  ...Array.from({ length: 60 }, (_, seed) => {
    const random = new Random(seed);
    return highBits.reduce((mode, bit) => mode + (random.chance(0.5) ? bit : 0), 0);
  }),
].map((mode) => mode + 0o640);

const linkNames: readonly string[] = [
  '',
  'a',
  'b',
  'dir',
  'link',
  '.',
  '..',
  victim,
  '../outside/victim',
  'dir/../../outside/victim',
  'zero\0byte',
  'x'.repeat(5000),
];

/** Kinds by Go's type bits, as `io/fs` documents them. */
const kinds: ReadonlyMap<number, string> = new Map([
  [0, 'file'],
  [goMode.dir, 'directory'],
  [goMode.symlink, 'symlink'],
  [goMode.fifo, 'fifo'],
  [goMode.device, 'block device'],
  [goMode.device + goMode.charDevice, 'character device'],
]);
const otherBits = 0o777 + goMode.setuid + goMode.setgid + goMode.sticky;

const encoder = new PacketEncoder();
const content = 'sent';

function statOf(fields: Partial<FileStat>): FileStat {
  return {
    path: '',
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: 1_000_000_000n,
    linkname: '',
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    ...fields,
  };
}

/** A sender that says what it wants about `x`, after a file, a directory, and a link that leads outside. */
async function sendHostile(stream: MessageStream, x: Partial<FileStat>): Promise<void> {
  const stats = [
    statOf({ path: 'a', size: content.length }),
    statOf({ path: 'dir', mode: goMode.dir + 0o755 }),
    statOf({ path: 'link', mode: goMode.symlink + 0o777, linkname: victim }),
    statOf({ path: 'x', size: content.length, ...x }),
    undefined,
  ];
  for (const stat of stats) await stream.send(encoder.encode({ kind: 'stat', stat }));
  for await (const message of stream) {
    const packet = decodePacket(Buffer.from(message));
    if (packet.kind === 'request') {
      await stream.send(encoder.encode({ kind: 'data', id: packet.id, data: Buffer.from(content) }));
      await stream.send(encoder.encode({ kind: 'data', id: packet.id, data: Buffer.alloc(0) }));
    } else if (packet.kind === 'fin') {
      await stream.send(encoder.encode({ kind: 'fin' }));
      await stream.closeSend();
    }
  }
}

const receivers: Readonly<Record<string, (x: Partial<FileStat>, into: string) => Promise<void>>> = {
  async daemon(x, into) {
    const service = {
      [methodPath(FileSync.method.diffCopy)]: ({ stream }: { stream: MessageStream }) =>
        sendHostile(stream, x),
    };
    await using session = inMemorySession(createServiceHost([service]), {
      id: 's',
      name: '',
      sharedKey: '',
    });
    await syncDirectory(
      session,
      { name: 'context', includePatterns: [], excludePatterns: [], followPaths: [], differ: 'metadata' },
      {
        kind: 'new-tree',
        baseline: undefined,
        async makeDirectory() {
          mkdirSync(into);
          return into;
        },
      },
      { pool },
    );
  },

  async kiln(x, into) {
    const sinks = new Map([[0, { kind: 'directory', path: into, mirror: false } as const]]);
    await using session = inMemorySession(createServiceHost([fileSendService(sinks, { pool })]), {
      id: 's',
      name: '',
      sharedKey: '',
    });
    await using stream = await session.open(methodPath(FileSend.method.diffCopy));
    await sendHostile(stream, x);
  },
};

/** What `x` has to be; undefined when it has to be refused. */
function expected({ mode, linkname }: { readonly mode: number; readonly linkname: string }) {
  const kind = kinds.get((mode & ~otherBits) >>> 0);
  if (kind === 'file') return linkname === '' ? kind : linkname === 'a' ? 'hard link' : undefined;
  if (kind === 'symlink')
    return linkname === '' || linkname.includes('\0') || linkname.length > 4095 ? undefined : kind;
  return kind;
}

function found(into: string, linkname: string): string {
  const x = path.join(into, 'x');
  const info = lstatSync(x, { bigint: true });
  if (info.isDirectory()) return 'directory';
  if (info.isFIFO()) return 'fifo';
  if (info.isBlockDevice()) return 'block device';
  if (info.isCharacterDevice()) return 'character device';
  if (info.isSymbolicLink()) return readlinkSync(x) === linkname ? 'symlink' : 'another link';
  if (info.ino === lstatSync(path.join(into, 'a'), { bigint: true }).ino) return 'hard link';
  return info.isFile() && readFileSync(x, 'utf8') === content ? 'file' : 'something else';
}

function identity({ ino, nlink, mode, size, mtimeNs, ctimeNs }: BigIntStats) {
  return { ino, nlink, mode, size, mtimeNs, ctimeNs };
}

for (const [who, receive] of Object.entries(receivers)) {
  test(`${who} makes of every mode and link name that a peer can send what they say, or refuses the file by its name`, async () => {
    const attempts = modes.flatMap((mode) => linkNames.map((linkname) => ({ mode, linkname })));
    await mapLimit(attempts, 8, async ({ mode, linkname }) => {
      const what = `mode 0x${mode.toString(16)}, link ${JSON.stringify(linkname.slice(0, 40))}`;
      const into = path.join(work.path, `${who}-${mode}-${linkNames.indexOf(linkname)}`);
      const wanted = expected({ mode, linkname });
      const error = await receive({ path: 'x', mode, linkname, devMajor: 1, devMinor: 3 }, into).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (wanted === undefined) {
        assert.ok(error instanceof KilnError && /x/.test(error.message), `${what}: ${error ?? 'taken'}`);
      } else {
        assert.equal(error, undefined, what);
        assert.equal(found(into, linkname), wanted, what);
      }
    });
    assert.deepEqual(identity(lstatSync(victim, { bigint: true })), identity(victimStat));
  });

  test(`${who} refuses numbers and attributes that no file has, by the name of the file`, async () => {
    const stats: readonly Partial<FileStat>[] = [
      { uid: 2 ** 32 },
      { gid: 2 ** 53 },
      { size: 2 ** 60 },
      { mode: 2 ** 32 + 0o644 },
      { mode: goMode.device + 0o644, devMajor: 2 ** 40 },
      { mode: goMode.device + 0o644, devMinor: 2 ** 40 },
      { xattrs: new Map([['security.selinux\0x', Buffer.from('x')]]) },
      { xattrs: new Map([['', Buffer.from('x')]]) },
    ];
    for (const [at, stat] of stats.entries()) {
      const into = path.join(work.path, `${who}-numbers-${at}`);
      await assert.rejects(
        receive(stat, into),
        (error: KilnError) =>
          error.code === 'invalid_argument' && /"x" cannot be received/.test(error.message),
        JSON.stringify(stat),
      );
    }
  });
}

test('a file that has become a link or a pipe since its stat was sent is not followed, and not waited for', async () => {
  for (const becomes of ['link', 'pipe'] as const) {
    const dir = path.join(work.path, `becomes-${becomes}`);
    const file = path.join(dir, 'file');
    mkdirSync(dir);
    writeFileSync(file, 'data');
    const service = fileSyncService(new Map([['context', dir]]), { pool });
    await using session = inMemorySession(createServiceHost([service]), { id: 's', name: '', sharedKey: '' });
    await using stream = await session.open(methodPath(FileSync.method.diffCopy), {
      'dir-name': ['context'],
    });
    let received = '';
    for await (const message of stream) {
      const packet = decodePacket(Buffer.from(message));
      if (packet.kind === 'stat' && !packet.stat) {
        rmSync(file);
        if (becomes === 'link') symlinkSync(victim, file);
        else mknod(file, 0o010644);
        await stream.send(encoder.encode({ kind: 'request', id: 0 }));
      } else if (packet.kind === 'data') {
        if (packet.data.length > 0) received += packet.data.toString();
        else await stream.send(encoder.encode({ kind: 'fin' }));
      }
    }
    assert.equal(received, '', becomes);
  }
});
