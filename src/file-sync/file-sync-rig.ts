import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { utimens } from '../linux/utimens.ts';
import { setXattr } from '../linux/xattr.ts';
import { inMemorySession } from '../session/in-memory-session.ts';
import { createServiceHost } from '../session/service-host.ts';
import type { SyncRequest } from '../session/session.ts';
import { fileSyncService } from './file-sync-service.ts';
import type { BaselineAccess, FileDigest, ReceiveResult } from './receive/received-tree.ts';
import { syncDirectory } from './sync-directory.ts';

export const plainRequest: SyncRequest = {
  name: 'context',
  includePatterns: [],
  excludePatterns: [],
  followPaths: [],
  differ: 'metadata',
};

/** Everything below a directory by path, as one line each. */
export function treeOf(dir: string, prefix = ''): string[] {
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

export interface Synced {
  readonly result: ReceiveResult;
  /** Where the tree is, if it is another than before. */
  readonly dir: string | undefined;
  readonly digests: readonly FileDigest[];
}

/** A tree that was synced before, and what may be done with it. */
export interface Last {
  readonly tree: Synced & { readonly dir: string };
  readonly access: BaselineAccess;
  readonly superseded?: boolean;
}

/** For tests: directories to sync, and threads that do it. */
export class FileSyncRig implements AsyncDisposable {
  readonly pool = new ThreadPool({ size: 4 });
  /** Makes a new, empty directory. */
  readonly newDir = temporaryDirectories();

  /** Syncs `source` in memory, into a new directory or into that of the last tree. */
  async sync(source: string, request: Partial<SyncRequest> = {}, last?: Last): Promise<Synced> {
    const service = fileSyncService(new Map([['context', source]]), { pool: this.pool });
    await using session = inMemorySession(createServiceHost([service]), { id: 's', name: '', sharedKey: '' });
    return await this.receive(session, request, last);
  }

  /** Syncs what the client of a session offers. */
  async receive(
    session: Parameters<typeof syncDirectory>[0],
    request: Partial<SyncRequest> = {},
    last?: Last,
  ): Promise<Synced> {
    let dir: string | undefined;
    const digests: FileDigest[] = [];
    const result = await syncDirectory(
      session,
      { ...plainRequest, ...request },
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
        makeDirectory: async () => {
          dir = this.newDir();
          return dir;
        },
      },
      { pool: this.pool, onDigests: (some) => digests.push(...some) },
    );
    if (result.kind === 'changed' && result.made === 'in-place') dir = last!.tree.dir;
    return { result, dir, digests };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]();
  }
}

export function made(synced: Synced): Synced & { readonly dir: string } {
  assert.ok(synced.dir !== undefined);
  return synced as Synced & { readonly dir: string };
}

export function writeSample(dir: string): void {
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
