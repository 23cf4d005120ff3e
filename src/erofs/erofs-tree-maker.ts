import type { BigIntStats } from 'node:fs';
import { constants } from 'node:os';
import { KilnError } from '../base/errors.ts';
import { type ByteString, fromByteString } from '../base/text/byte-string.ts';
import { SystemError } from '../linux/libc.ts';
import { isMachineAttribute } from '../tree/machine-attributes.ts';
import {
  isForeignMark,
  isOverlayMark,
  isWhiteout,
  opaqueAttribute,
  opaqueValue,
} from '../tree/overlay-marks.ts';
import type {
  EntryChanges,
  EntryMetadata,
  GrowingFile,
  LayerMaker,
  SourceEntry,
  TreeEntry,
} from '../tree/tree-maker.ts';
import { type DeviceRange, deviceExtents } from './device-range.ts';
import { deviceNumber } from './format/inode-fields.ts';
import { fileTypes, typeMask } from './format/layout.ts';
import { readSourceFile, readSourceLink, readSourceXattrs } from './source-file.ts';
import { ImageTree } from './write/image-tree.ts';

const permissions = 0o7777;
const longestLink = 4095;

/**
 * Makes a tree, or a layer of one, as an EROFS image: one file, to which the data of files is written as it comes, in any order, and which is whole after
 * `finish`. For threads. What an image cannot have: times of access, which are those of modification there.
 */
export class ErofsTreeMaker extends ImageTree implements LayerMaker {
  add(path: ByteString, entry: TreeEntry): void {
    switch (entry.kind) {
      case 'file':
        this.create(path, fileTypes.file, entry.metadata, (id, xattrs) =>
          this.writer.placeData(id, xattrs, entry.data),
        );
        return;
      case 'directory':
        this.create(path, fileTypes.directory, entry.metadata, (id, xattrs) =>
          this.writer.setDirectoryXattrs(id, xattrs),
        );
        return;
      case 'symlink':
        this.#addLink(path, entry.metadata, entry.target);
        return;
      case 'hard-link':
        this.addName(path, entry.target);
        return;
      case 'fifo':
        this.#addNode(path, entry.kind, entry.metadata);
        return;
      case 'character-device':
      case 'block-device': {
        const number = deviceNumber(entry.major, entry.minor);
        if (entry.kind === 'character-device' && number === 0) {
          throw new KilnError('invalid_argument', `/${fromByteString(path)} is a character device 0/0`);
        }
        this.#addNode(path, entry.kind, entry.metadata, number);
        return;
      }
      default:
        entry satisfies never;
    }
  }

  addFile(path: ByteString, metadata: EntryMetadata): GrowingFile {
    return this.grow(path, metadata);
  }

  /** Adds a file whose data is on other devices, where it stays. Throws as `add` does. */
  addFromDevice(path: ByteString, metadata: EntryMetadata, ranges: readonly DeviceRange[]): void {
    const { extents, size } = deviceExtents(ranges, this.devices, this.writer.blockSize);
    this.create(path, fileTypes.file, metadata, (id, xattrs) =>
      this.writer.placeExtents(id, xattrs, extents, size),
    );
  }

  copy(path: ByteString, source: SourceEntry, changes: EntryChanges): void {
    const { stats } = source;
    const isMark = stats !== undefined && isWhiteout(stats);
    if (!isMark) this.#copy(path, source, changes, changes.leavesOut ?? isForeignMark);
  }

  copyMetadata(path: ByteString, { path: from, stats }: Required<SourceEntry>, changes: EntryChanges): void {
    const { leavesOut = isForeignMark } = changes;
    const metadata = changedMetadata(stats, changes);
    this.change(path, { ...metadata, xattrs: readSourceXattrs(from, leavesOut) });
  }

  setMetadata(path: ByteString, metadata: Partial<EntryMetadata>): void {
    this.change(path, { ...metadata, xattrs: this.own(metadata.xattrs, isMachineAttribute) });
  }

  addWhiteout(path: ByteString): void {
    this.#addNode(path, 'character-device', { mode: 0 });
  }

  makeOpaque(path: ByteString): void {
    this.change(path, { xattrs: new Map([[opaqueAttribute, opaqueValue]]) });
  }

  isOpaque(path: ByteString): boolean {
    return this.xattrsOf(this.treeNames.require(path)).get(opaqueAttribute) === opaqueValue;
  }

  copyUp(path: ByteString, source: Required<SourceEntry>): void {
    this.add(path, { kind: 'directory', metadata: { mode: 0 } });
    this.copyAccess(path, source);
  }

  copyAccess(path: ByteString, { path: from, stats }: Required<SourceEntry>): void {
    const id = this.treeNames.require(path);
    this.setAccess(id, { owner: ownerOf(stats), mode: Number(stats.mode) & permissions });
    this.replaceXattrs(id, readSourceXattrs(from, isOverlayMark));
  }

  /** Copies an entry of a layer with its marks, a directory without what is in it: an image becomes the same layer. Throws as `add` does. */
  copyFromLayer(path: ByteString, source: Required<SourceEntry>, firstNames: Map<string, ByteString>): void {
    this.#copy(path, source, { firstNames }, () => false);
  }

  /** Gives the root what the root of a layer has, with its marks. */
  copyRootFromLayer({ path: from, stats }: Required<SourceEntry>): void {
    const { owner, mode, times } = changedMetadata(stats, {});
    this.change('', { owner, mode, times, xattrs: readSourceXattrs(from, () => false) });
  }

  #addLink(path: ByteString, metadata: Omit<EntryMetadata, 'mode'>, target: ByteString): void {
    if (target === '') throw refused('ENOENT', path);
    if (target.length > longestLink) throw refused('ENAMETOOLONG', path);
    if (target.includes('\0')) throw refused('EINVAL', path);
    this.create(path, fileTypes.symlink, { ...metadata, mode: 0o777 }, (id, xattrs) =>
      this.writer.placeData(id, xattrs, Buffer.from(target, 'latin1')),
    );
  }

  #addNode(path: ByteString, kind: keyof typeof fileTypes, metadata: EntryMetadata, device = 0): void {
    this.create(path, fileTypes[kind], metadata, (id, xattrs) => this.writer.placeNode(id, xattrs, device));
  }

  #copy(
    path: ByteString,
    { path: from, stats }: SourceEntry,
    changes: EntryChanges,
    leavesOut: (name: string) => boolean,
  ): void {
    const type = stats === undefined ? fileTypes.file : Number(stats.mode) & typeMask;
    if (type === fileTypes.file) {
      this.#copyFile(path, from, changes, leavesOut);
      return;
    }
    const own = stats!;
    const keepsMarks = !leavesOut(opaqueAttribute);
    const rules = { leavesOut, inherits: !keepsMarks };
    if (keepsMarks && this.#isLinked(own, path, changes)) return;
    const metadata = { ...changedMetadata(own, changes), xattrs: readSourceXattrs(from, leavesOut) };
    switch (type) {
      case fileTypes.directory:
        this.create(path, type, metadata, (id, xattrs) => this.writer.setDirectoryXattrs(id, xattrs), rules);
        return;
      case fileTypes.symlink: {
        const target = readSourceLink(from);
        this.create(
          path,
          type,
          { ...metadata, mode: 0o777 },
          (id, xattrs) => this.writer.placeData(id, xattrs, target),
          rules,
        );
        return;
      }
      case fileTypes.socket: {
        const kind = keepsMarks ? fileTypes.socket : fileTypes.file;
        this.create(path, kind, metadata, (id, xattrs) => this.writer.placeNode(id, xattrs), rules);
        return;
      }
      default: {
        const isDevice = type !== fileTypes.fifo;
        const device = isDevice ? Number(own.rdev & 0xffff_ffffn) : 0;
        this.create(path, type, metadata, (id, xattrs) => this.writer.placeNode(id, xattrs, device), rules);
      }
    }
  }

  #copyFile(
    path: ByteString,
    from: ByteString,
    changes: EntryChanges,
    leavesOut: (name: string) => boolean,
  ): void {
    const rules = { leavesOut, inherits: leavesOut(opaqueAttribute) };
    readSourceFile(from, (file) => {
      if (this.#isLinked(file.stats, path, changes)) return;
      const metadata = { ...changedMetadata(file.stats, changes), xattrs: readSourceXattrs(from, leavesOut) };
      const whole = file.whole();
      if (whole) {
        this.create(
          path,
          fileTypes.file,
          metadata,
          (id, xattrs) => this.writer.placeData(id, xattrs, whole),
          rules,
        );
        return;
      }
      const growing = this.grow(path, metadata, rules);
      file.copyTo(growing);
      growing.finish();
    });
  }

  /** Whether another name of the same file was copied before, which `path` then is a name of as well. */
  #isLinked({ nlink, dev, ino }: BigIntStats, path: ByteString, { firstNames }: EntryChanges): boolean {
    if (nlink === 1n || !firstNames) return false;
    const identity = `${dev}:${ino}`;
    const first = firstNames.get(identity);
    if (first === undefined) firstNames.set(identity, path);
    else this.addName(path, first);
    return first !== undefined;
  }
}

function changedMetadata(stats: BigIntStats, { owner, mode, timestamp }: EntryChanges): EntryMetadata {
  const own = Number(stats.mode) & permissions;
  return {
    owner: owner ?? ownerOf(stats),
    mode: mode ? mode(own, stats.isDirectory()) : own,
    times: { access: timestamp ?? stats.atimeNs, modification: timestamp ?? stats.mtimeNs },
  };
}

function ownerOf({ uid, gid }: BigIntStats): { readonly uid: number; readonly gid: number } {
  return { uid: Number(uid), gid: Number(gid) };
}

function refused(errno: 'EINVAL' | 'ENOENT' | 'ENAMETOOLONG', path: ByteString): SystemError {
  return new SystemError('symlink', constants.errno[errno], Buffer.from(path, 'latin1'));
}
