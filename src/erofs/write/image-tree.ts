import { constants } from 'node:os';
import { errnoOf, KilnError } from '../../base/errors.ts';
import type { ByteString } from '../../base/text/byte-string.ts';
import { SystemError } from '../../linux/libc.ts';
import { isMachineAttribute } from '../../tree/machine-attributes.ts';
import type { FoundEntry, FoundKind, Tree } from '../../tree/tree.ts';
import type { EntryMetadata, GrowingFile } from '../../tree/tree-maker.ts';
import { fileTypes, typeMask } from '../format/layout.ts';
import { encodeXattrs } from '../format/xattr-body.ts';
import { defaultList, inheritedXattrs, settledXattrs, xattrProblem } from '../xattr-rules.ts';
import { ErofsWriter } from './erofs-writer.ts';
import type { InodeId } from './inode-table.ts';
import { TreeNames } from './tree-names.ts';

export interface ErofsTreeOptions {
  /** Bytes of a block, 4096 without it. 512 lets files refer to data that begins at any sector of a device, as that of tar archives does. */
  readonly blockSize?: 512 | 4096;
  /** Sizes in bytes of the devices that files refer to (`addFromDevice`). A mount gets these devices in the same order. */
  readonly devices?: readonly number[];
  /** As in `DirectoryTreeOptions`. */
  readonly refusedXattrs?: 'fail' | 'leave-out';
}

const permissions = 0o7777;
const setUserId = 0o4000;
const setGroupId = 0o2000;
const groupExecute = 0o010;
const ownFile = 0o600;
const rootMode = 0o755;
/** The id that says that an owner stays. */
const unchanged = 0xffff_ffff;
/** More would leave no place for the root, whose number has 16 bits. */
const mostDevices = 8192;
const noXattrs = Buffer.alloc(0);
const capability = 'security.capability';
const kinds: ReadonlyMap<number, FoundKind> = new Map([
  [fileTypes.directory, 'directory'],
  [fileTypes.file, 'file'],
  [fileTypes.symlink, 'symlink'],
]);

export interface CreationRules {
  /** Attributes that the entry does not get; without it, those of the machine. */
  readonly leavesOut?: (name: string) => boolean;
  /** Whether the entry gets what its directory passes on; true without it. */
  readonly inherits?: boolean;
}

/** A tree that is being written to an image: its names and inodes, with the metadata that a kernel would give them. */
export class ImageTree implements Tree, Disposable {
  protected readonly writer: ErofsWriter;
  protected readonly treeNames: TreeNames;
  protected readonly devices: readonly number[];
  readonly #leavesOut: boolean;
  /** The attributes of files that have no place in the image yet. */
  readonly #growing = new Map<InodeId, ReadonlyMap<string, ByteString>>();
  #inodes = 1;
  /** Of the directory that was asked for last. */
  #lastDefault: { readonly of: InodeId; readonly list: ByteString | undefined } | undefined;

  /** `file`: where the image will be; nothing is there yet. */
  constructor(file: string, { blockSize = 4096, devices = [], refusedXattrs }: ErofsTreeOptions = {}) {
    if (devices.length > mostDevices) {
      throw new KilnError(
        'invalid_argument',
        `an image has ${devices.length} devices, more than ${mostDevices}`,
      );
    }
    this.writer = new ErofsWriter(
      file,
      blockSize,
      devices.map((size) => Math.ceil(size / blockSize)),
    );
    this.devices = devices;
    this.#leavesOut = refusedXattrs === 'leave-out';
    const root = this.writer.inodes.add(fileTypes.directory | rootMode);
    this.writer.inodes.setTime(root, now());
    this.treeNames = new TreeNames(root);
  }

  lookup(path: ByteString): FoundEntry | undefined {
    const id = this.treeNames.find(path);
    if (id === undefined) return undefined;
    const { inodes } = this.writer;
    const mode = inodes.mode(id);
    const type = mode & typeMask;
    const isMark = type === fileTypes['character-device'] && inodes.place(id) === 0;
    return {
      kind: kinds.get(type) ?? (isMark ? 'whiteout' : 'other'),
      mode: mode & permissions,
      uid: inodes.uid(id),
      gid: inodes.gid(id),
    };
  }

  readLink(path: ByteString): ByteString {
    const id = this.treeNames.require(path);
    if ((this.writer.inodes.mode(id) & typeMask) !== fileTypes.symlink)
      throw failure('readlink', 'EINVAL', path);
    return this.writer.smallData(id).toString('latin1');
  }

  names(path: ByteString): ByteString[] {
    return [...this.treeNames.directory(path).entries.keys()];
  }

  remove(path: ByteString): void {
    const { inodes } = this.writer;
    for (const id of this.treeNames.remove(path)) {
      const links = inodes.links(id) - 1;
      inodes.setLinks(id, links);
      this.writer.changed(id);
      if (links === 0) this.#inodes--;
    }
  }

  finish(): void {
    if (this.#growing.size > 0) throw new KilnError('internal', 'a tree was finished before its files');
    this.writer.finish(this.treeNames, this.#inodes);
  }

  [Symbol.dispose](): void {
    this.writer[Symbol.dispose]();
  }

  /** Makes an entry. What `place` gets goes into the image at once, so the name is only given when that has worked. */
  protected create(
    path: ByteString,
    type: number,
    metadata: EntryMetadata,
    place: (id: InodeId, xattrs: Buffer) => void,
    { leavesOut = isMachineAttribute, inherits = true }: CreationRules = {},
  ): InodeId {
    const namePlace = this.treeNames.place(path);
    const around = namePlace.directory.inode;
    const { inodes } = this.writer;
    const mode = type | (metadata.mode & permissions);
    const own = this.own(metadata.xattrs, leavesOut);
    const inherited = inherits ? inheritedXattrs(this.#defaultList(around), mode) : undefined;
    const xattrs =
      own || inherited ? this.#encode(new Map([...(inherited ?? []), ...(own ?? [])]), mode) : noXattrs;
    const id = inodes.add(mode);
    inodes.setOwner(id, 0, inodes.mode(around) & setGroupId ? inodes.gid(around) : 0);
    if (metadata.owner) this.#setOwner(id, metadata.owner);
    inodes.setTime(id, metadata.times?.modification ?? now());
    place(id, xattrs);
    if (type === fileTypes.directory) this.treeNames.addDirectory(namePlace, id);
    else namePlace.directory.entries.set(namePlace.name, id);
    this.#inodes++;
    return id;
  }

  protected grow(
    path: ByteString,
    metadata: EntryMetadata,
    { leavesOut = isMachineAttribute, inherits = true }: CreationRules = {},
  ): GrowingFile {
    const { xattrs, ...rest } = metadata;
    const id = this.create(path, fileTypes.file, { ...rest, mode: ownFile }, () => {}, { inherits: false });
    const mode = fileTypes.file | (metadata.mode & permissions);
    const { directory } = this.treeNames.locate(path);
    const inherited = inherits ? inheritedXattrs(this.#defaultList(directory.inode), mode) : undefined;
    this.#growing.set(id, new Map([...(inherited ?? []), ...(this.own(xattrs, leavesOut) ?? [])]));
    return this.writer.grow((data) => {
      const own = this.#growing.get(id) ?? new Map();
      this.writer.inodes.setMode(id, mode);
      this.writer.placeGrown(id, this.#encode(own, mode), data);
      this.#growing.delete(id);
    });
  }

  protected addName(path: ByteString, target: ByteString): void {
    const id = this.treeNames.require(target);
    if (this.treeNames.directoryOf(id)) throw failure('link', 'EPERM', path);
    const { directory, name } = this.treeNames.place(path);
    directory.entries.set(name, id);
    this.writer.inodes.setLinks(id, this.writer.inodes.links(id) + 1);
    this.writer.changed(id);
  }

  protected change(path: ByteString, { owner, mode, times, xattrs }: Partial<EntryMetadata>): void {
    const id = this.treeNames.require(path);
    if (times) this.writer.inodes.setTime(id, times.modification);
    const isOwnedAnew = this.setAccess(id, { owner, mode });
    if (mode !== undefined || isOwnedAnew || xattrs) {
      const own = this.xattrsOf(id);
      if (own.size > 0 || xattrs) {
        const merged = new Map(own);
        // As chown(2) does.
        if (isOwnedAnew && !this.treeNames.directoryOf(id)) merged.delete(capability);
        for (const [name, value] of xattrs ?? []) merged.set(name, value);
        this.replaceXattrs(id, merged);
      }
    }
    this.writer.changed(id);
  }

  /** Returns whether the owner is another one than before. */
  protected setAccess(id: InodeId, { owner, mode }: Pick<Partial<EntryMetadata>, 'owner' | 'mode'>): boolean {
    const { inodes } = this.writer;
    const before = inodes.mode(id);
    const type = before & typeMask;
    const isOwnedAnew = owner !== undefined && this.#setOwner(id, owner);
    if (isOwnedAnew && type !== fileTypes.directory) {
      // As chown(2) does.
      inodes.setMode(id, before & ~(setUserId | (before & groupExecute ? setGroupId : 0)));
    }
    if (mode !== undefined && type !== fileTypes.symlink) inodes.setMode(id, mode);
    this.writer.changed(id);
    return isOwnedAnew;
  }

  /** Returns whether that changes anything. */
  #setOwner(id: InodeId, owner: { readonly uid: number; readonly gid: number }): boolean {
    const { inodes } = this.writer;
    const before = { uid: inodes.uid(id), gid: inodes.gid(id) };
    const uid = owner.uid === unchanged ? before.uid : owner.uid;
    const gid = owner.gid === unchanged ? before.gid : owner.gid;
    inodes.setOwner(id, uid, gid);
    return uid !== before.uid || gid !== before.gid;
  }

  protected xattrsOf(id: InodeId): ReadonlyMap<string, ByteString> {
    return this.#growing.get(id) ?? this.writer.xattrs(id);
  }

  protected replaceXattrs(id: InodeId, xattrs: ReadonlyMap<string, ByteString>): void {
    if (this.#growing.has(id)) {
      this.#growing.set(id, xattrs);
      return;
    }
    const mode = this.writer.inodes.mode(id);
    const body = this.#encode(xattrs, mode);
    if (this.#lastDefault?.of === id) this.#lastDefault = undefined;
    if (this.treeNames.directoryOf(id)) this.writer.setDirectoryXattrs(id, body);
    else this.writer.replaceXattrs(id, body);
  }

  /** Nothing from outside may steer an overlay, to a directory elsewhere for example. */
  protected own(
    xattrs: ReadonlyMap<string, ByteString> | undefined,
    leavesOut: (name: string) => boolean,
  ): ReadonlyMap<string, ByteString> | undefined {
    if (!xattrs || xattrs.size === 0) return undefined;
    return new Map([...xattrs].filter(([name]) => !leavesOut(name)));
  }

  #encode(xattrs: ReadonlyMap<string, ByteString>, mode: number): Buffer {
    return encodeXattrs(settledXattrs(this.#allowed(xattrs, mode), mode));
  }

  /** The access list that a directory gives to what is made in it. */
  #defaultList(directory: InodeId): ByteString | undefined {
    if (this.writer.inodes.xattrSize(directory) === 0) return undefined;
    if (this.#lastDefault?.of !== directory) {
      this.#lastDefault = { of: directory, list: this.writer.xattrs(directory).get(defaultList) };
    }
    return this.#lastDefault.list;
  }

  #allowed(xattrs: ReadonlyMap<string, ByteString>, mode: number): ReadonlyMap<string, ByteString> {
    const allowed = new Map<string, ByteString>();
    for (const [name, value] of xattrs) {
      const problem = xattrProblem(name, value, mode);
      if (!problem) allowed.set(name, value);
      else if (!this.#mayBeLeftOut(name, errnoOf(problem))) throw problem;
    }
    return allowed;
  }

  #mayBeLeftOut(name: string, errno: string | undefined): boolean {
    if (errno === 'EOPNOTSUPP') return true;
    if (errno === 'EPERM') return this.#leavesOut || name.startsWith('user.');
    return errno === 'EINVAL' && this.#leavesOut;
  }
}

function now(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

function failure(call: string, errno: 'EINVAL' | 'EPERM', path: ByteString): SystemError {
  return new SystemError(call, constants.errno[errno], Buffer.from(path, 'latin1'));
}
