import { closeSync, openSync, readlinkSync } from 'node:fs';
import { type ByteString, fromByteString, toSystemPath } from '../base/text/byte-string.ts';
import { majorOf, minorOf } from '../linux/mknod.ts';
import type { LayerForm } from '../oci/layer-identity.ts';
import { readLayerXattrs } from '../tree/layer-xattrs.ts';
import { isWhiteout } from '../tree/overlay-marks.ts';
import type { ChangedFile, LayerChange } from './layer-changes.ts';
import { emptyEntry, type TarEntry, type TarEntryType } from './tar/tar-entry.ts';
import { TarWriter } from './tar/tar-writer.ts';
import { whiteoutPrefix } from './whiteout-format.ts';
import { toWindowsEntry, windowsRoots } from './windows-layer.ts';

/** Where the bytes of the archive go. */
export interface TarSink {
  write(chunk: Uint8Array): void;
  /** Takes the next `size` bytes of an open file; `name` is for the error when there are fewer. */
  copyFrom(file: number, size: number, name: string): void;
}

export interface LayerTarOptions {
  /** Seconds since 1970 that no entry's time may be later than. */
  readonly epoch?: number;
  /** How the layer is laid out; `unix` by default. */
  readonly form?: LayerForm;
  /** Which extended attributes are written. */
  readonly readXattrs?: XattrReader;
}

type XattrReader = (path: ByteString) => ReadonlyMap<string, ByteString> | undefined;

const nanosecondsPerSecond = 1_000_000_000n;

const typesByFormat: ReadonlyMap<number, TarEntryType> = new Map([
  [0o10_0000, 'file'],
  [0o04_0000, 'directory'],
  [0o12_0000, 'symlink'],
  [0o02_0000, 'character-device'],
  [0o06_0000, 'block-device'],
  [0o01_0000, 'fifo'],
]);

/**
 * Writes layer changes as a tar archive with the entries that containerd's differ writes for them: directories on the way
 * to a change are repeated, names of one file become hard links to the first of them, sockets and devices 0/0 are left out, owners are
 * numbers only, times are whole seconds, and whiteouts have no time, mode or owner. One more than containerd: extended
 * attributes in `user.` are kept.
 */
export class LayerTarWriter {
  readonly #tar: TarWriter;
  readonly #sink: TarSink;
  readonly #form: LayerForm;
  readonly #epoch: bigint | undefined;
  readonly #readXattrs: XattrReader;
  readonly #writtenDirectories = new Set<ByteString>();
  /** The first written name of each file that has several. */
  readonly #firstNames = new Map<bigint, ByteString>();
  /** Unchanged names of such files, written only if another name is. */
  readonly #unchangedLinks = new Map<bigint, [ChangedFile, readonly ChangedFile[]][]>();

  constructor(sink: TarSink, { epoch, form = 'unix', readXattrs = readLayerXattrs }: LayerTarOptions = {}) {
    this.#sink = sink;
    this.#form = form;
    this.#readXattrs = readXattrs;
    this.#tar = new TarWriter((chunk) => sink.write(chunk));
    this.#epoch = epoch === undefined ? undefined : BigInt(epoch) * nanosecondsPerSecond;
    if (form === 'windows') for (const root of windowsRoots) this.#tar.header(root);
  }

  change(change: LayerChange, parents: readonly ChangedFile[]): void {
    switch (change.kind) {
      case 'deleted': {
        this.#parents(parents);
        const slash = change.path.lastIndexOf('/') + 1;
        const name = change.path.slice(0, slash) + whiteoutPrefix + change.path.slice(slash);
        this.#header({ ...emptyEntry, name, type: 'file' });
        return;
      }
      case 'present':
        this.#present(change, parents);
        return;
      case 'unchanged-link': {
        const first = this.#firstNames.get(change.stats.ino);
        if (first !== undefined) {
          this.#link(change, parents, first);
          return;
        }
        const links = this.#unchangedLinks.get(change.stats.ino) ?? [];
        links.push([change, parents]);
        this.#unchangedLinks.set(change.stats.ino, links);
        return;
      }
    }
  }

  end(): void {
    this.#tar.end();
  }

  #header(entry: TarEntry): void {
    this.#tar.header(this.#form === 'windows' ? toWindowsEntry(entry) : entry);
  }

  #parents(parents: readonly ChangedFile[]): void {
    for (const parent of parents) {
      if (!this.#writtenDirectories.has(parent.path)) this.#write(parent, 'directory');
    }
  }

  #present(file: ChangedFile, parents: readonly ChangedFile[]): void {
    const type = typesByFormat.get(Number(file.stats.mode) & 0o17_0000);
    // A device that would delete something where the archive is unpacked into an overlay's layer.
    if (type === undefined || isWhiteout(file.stats)) return;
    this.#parents(parents);
    if (type === 'directory' || file.stats.nlink < 2n) {
      this.#write(file, type);
      return;
    }
    const first = this.#firstNames.get(file.stats.ino);
    if (first !== undefined) {
      this.#link(file, parents, first);
      return;
    }
    this.#firstNames.set(file.stats.ino, file.path);
    this.#write(file, type);
    for (const [link, linkParents] of this.#unchangedLinks.get(file.stats.ino) ?? []) {
      this.#link(link, linkParents, file.path);
    }
    this.#unchangedLinks.delete(file.stats.ino);
  }

  #link(file: ChangedFile, parents: readonly ChangedFile[], target: ByteString): void {
    this.#parents(parents);
    this.#header({ ...this.#metadata(file), type: 'hardlink', linkName: target });
  }

  #write(file: ChangedFile, type: TarEntryType): void {
    const entry = this.#metadata(file);
    switch (type) {
      case 'directory':
        this.#writtenDirectories.add(file.path);
        this.#header({ ...entry, type, name: `${file.path}/` });
        return;
      case 'symlink':
        this.#header({ ...entry, type, linkName: readlinkSync(toSystemPath(file.source), 'latin1') });
        return;
      case 'character-device':
      case 'block-device':
        this.#header({
          ...entry,
          type,
          deviceMajor: majorOf(file.stats.rdev),
          deviceMinor: minorOf(file.stats.rdev),
        });
        return;
      case 'file':
        this.#data({ ...entry, type, size: Number(file.stats.size) }, file);
        return;
      case 'fifo':
      case 'hardlink':
        this.#header({ ...entry, type });
        return;
    }
  }

  #data(entry: TarEntry, file: ChangedFile): void {
    this.#header(entry);
    if (entry.size === 0) return;
    const descriptor = openSync(toSystemPath(file.source), 'r');
    try {
      this.#sink.copyFrom(descriptor, entry.size, `/${fromByteString(file.path)}`);
    } finally {
      closeSync(descriptor);
    }
    this.#tar.pad(entry.size);
  }

  #metadata(file: ChangedFile): Omit<TarEntry, 'type'> {
    const { mode, uid, gid, mtimeNs } = file.stats;
    const time = this.#epoch !== undefined && mtimeNs > this.#epoch ? this.#epoch : mtimeNs;
    const xattrs = this.#readXattrs(file.source);
    return {
      ...emptyEntry,
      name: file.path,
      mode: Number(mode) & 0o7777,
      uid: Number(uid),
      gid: Number(gid),
      mtime: wholeSeconds(time),
      ...(xattrs ? { xattrs } : {}),
    };
  }
}

/** Rounded down, before 1970 too. */
export function wholeSeconds(nanoseconds: bigint): bigint {
  const rest = nanoseconds % nanosecondsPerSecond;
  return nanoseconds - rest - (rest < 0n ? nanosecondsPerSecond : 0n);
}
