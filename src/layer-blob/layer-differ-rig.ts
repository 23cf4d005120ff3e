import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ErrorCode, KilnError } from '../base/errors.ts';
import { toSystemPath } from '../base/text/byte-string.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { type ContentStore, writeBlob } from '../content/content.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { utimens } from '../linux/utimens.ts';
import { getXattr, listXattrs, setXattr } from '../linux/xattr.ts';
import { type Descriptor, mediaTypes } from '../oci/descriptor.ts';
import type { LayerFormat } from '../oci/estargz.ts';
import type { SnapshotChanges } from '../snapshot/snapshot.ts';
import type { DiffOptions } from './differ.ts';
import { createLayerDiffer } from './layer-differ.ts';
import { emptyEntry, type TarEntry } from './tar/tar-entry.ts';
import { TarParser } from './tar/tar-parser.ts';
import { TarWriter } from './tar/tar-writer.ts';

export const hasCode = (code: ErrorCode) => (error: unknown) =>
  error instanceof KilnError && error.code === code;

export interface Place extends Disposable {
  readonly path: string;
  readonly store: ContentStore;
  dir(name: string): string;
}

export async function openPlace(): Promise<Place> {
  const path = mkdtempSync(join(tmpdir(), 'kiln-differ-'));
  const store = await openLocalContentStore(join(path, 'content'));
  return {
    path,
    store,
    dir(name) {
      const dir = join(path, name);
      mkdirSync(dir, { recursive: true });
      return dir;
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

export function diffOptions(
  compression: LayerFormat = 'uncompressed',
  more: Partial<DiffOptions> = {},
): DiffOptions {
  return { compression, mediaTypes: 'oci', ...more };
}

/** Everything that a layer carries of a tree, by path. */
export function describeTree(dir: string): Record<string, string> {
  const found: Record<string, string> = {};
  const links = new Map<bigint, string>();
  const walk = (directory: string, prefix: string) => {
    for (const name of readdirSync(toSystemPath(directory), 'latin1').sort()) {
      const path = `${directory}/${name}`;
      const file = toSystemPath(path);
      const stats = lstatSync(file, { bigint: true });
      const xattrs = listXattrs(file)
        .sort()
        .map((key) => `${key}=${getXattr(file, key)?.toString('hex')}`);
      let content = '';
      if (stats.isFile())
        content = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 12);
      if (stats.isSymbolicLink()) content = readlinkSync(file, 'latin1');
      if (stats.isCharacterDevice() || stats.isBlockDevice()) content = `dev ${stats.rdev}`;
      const first = stats.isDirectory() ? undefined : links.get(stats.ino);
      links.set(stats.ino, first ?? prefix + name);
      found[prefix + name] = [
        stats.mode.toString(8),
        `${stats.uid}:${stats.gid}`,
        stats.isDirectory() ? '' : stats.size,
        stats.mtimeNs,
        content,
        first ? `= ${first}` : '',
        ...xattrs,
      ].join(' ');
      if (stats.isDirectory()) walk(path, `${prefix}${name}/`);
    }
  };
  walk(dir, '');
  return found;
}

/** A tree with every kind of entry. Times are whole seconds, as layers keep them. */
export function fillTree(dir: string): void {
  const at = (name: string) => join(dir, name);
  mkdirSync(at('dir/sub'), { recursive: true });
  writeFileSync(at('dir/file'), 'content');
  writeFileSync(at('dir/empty'), '');
  writeFileSync(at('dir/block'), Buffer.alloc(512, 'x'));
  writeFileSync(at('dir/large'), Buffer.alloc(3_000_001, 'some text, '));
  writeFileSync(at('dir/random'), randomBytes(700_000));
  writeFileSync(at('sparse'), '');
  truncateSync(at('sparse'), 1_000_000);
  symlinkSync('dir/file', at('link'));
  symlinkSync('../'.repeat(60), at('long-link'));
  symlinkSync('/nowhere/at/all', at('broken'));
  linkSync(at('dir/file'), at('dir/sub/same'));
  linkSync(at('dir/file'), at('also-same'));
  mknod(at('fifo'), 0o010644);
  mknod(at('char'), 0o020600, makeDevice(5, 300));
  mknod(at('blockdev'), 0o060640, makeDevice(259, 70000));
  mkdirSync(at('d'.repeat(90)));
  writeFileSync(at(`${'d'.repeat(90)}/${'f'.repeat(90)}`), 'split');
  writeFileSync(at('n'.repeat(150)), 'too long to split');
  mkdirSync(at(`x/${'y'.repeat(200)}/${'z'.repeat(200)}`), { recursive: true });
  writeFileSync(at('ünïcode'), 'utf-8');
  writeFileSync(toSystemPath(`${dir}/bytes\xff\xfe`), 'no utf-8');
  writeFileSync(toSystemPath(`${dir}/new\nline`), 'line');
  writeFileSync(at('capable'), 'x');
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
  setXattr(at('capable'), 'security.capability', capability);
  setXattr(at('capable'), 'user.note', Buffer.from([0, 1, 0xff, 0x0a, 0x3d]));
  setXattr(at('dir'), 'user.dir', Buffer.from('yes'));
  writeFileSync(at('setuid'), 'x');
  chownSync(at('setuid'), 1234, 65534);
  chmodSync(at('setuid'), 0o4755);
  writeFileSync(at('big-owner'), 'x');
  chownSync(at('big-owner'), 3_000_000, 2_097_152);
  mkdirSync(at('sticky'));
  chmodSync(at('sticky'), 0o3777);
  writeFileSync(at('none'), 'x');
  chmodSync(at('none'), 0);
  const settle = (directory: string) => {
    let time = 1_600_000_000n;
    for (const name of readdirSync(toSystemPath(directory), 'latin1').sort()) {
      const path = `${directory}/${name}`;
      if (lstatSync(toSystemPath(path)).isDirectory()) settle(path);
      utimens(toSystemPath(path), 0n, time++ * 1_000_000_000n);
    }
  };
  settle(dir);
  utimens(at('fifo'), 0n, -5_000_000_000n);
}

export function parseTar(tar: Uint8Array): (TarEntry & { readonly data: string })[] {
  const entries: (TarEntry & { data: string })[] = [];
  const parser = new TarParser({
    entry: (entry) => entries.push({ ...entry, data: '' }),
    data: (chunk) => {
      entries.at(-1)!.data += Buffer.from(chunk).toString('latin1');
    },
    hole: (size) => {
      entries.at(-1)!.data += '\0'.repeat(size);
    },
    entryEnd: () => {},
  });
  parser.write(tar);
  parser.finish();
  return entries;
}

export const plainEntry = { ...emptyEntry, mode: 0o644 };

/** A tar of these entries, compressed with gzip. */
export function makeTar(entries: readonly (Partial<TarEntry> & { name: string; data?: string })[]): Buffer {
  const chunks: Uint8Array[] = [];
  const writer = new TarWriter((chunk) => chunks.push(chunk));
  for (const { data = '', ...entry } of entries) {
    writer.header({ ...plainEntry, type: 'file', ...entry, size: data.length });
    chunks.push(Buffer.from(data, 'latin1'));
    writer.pad(data.length);
  }
  writer.end();
  return Buffer.concat(chunks);
}

export async function putBlob(store: ContentStore, data: Uint8Array): Promise<Descriptor> {
  return { mediaType: mediaTypes.ociLayerGzip, ...(await writeBlob(store, data)) };
}

/** For tests: a differ with threads of its own. */
export class DifferRig implements AsyncDisposable {
  readonly pool = new ThreadPool({ size: 3 });
  readonly differ = createLayerDiffer({ pool: this.pool });

  /** The entries of the layer of some changes. */
  async tarOf(changes: SnapshotChanges, { store }: Place, more: Partial<DiffOptions> = {}) {
    const { descriptor } = await this.differ.diff(changes, store, diffOptions('uncompressed', more));
    return parseTar(await store.readAll(descriptor.digest));
  }

  /** Unpacks a tar as a layer. */
  async unpack(tar: Uint8Array, { store }: Place, dir: string, form: 'overlay' | 'tree'): Promise<void> {
    await this.differ.apply(await putBlob(store, tar), store, { dir, form });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]();
  }
}
