import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { constants as os } from 'node:os';
import { KilnError } from '../../base/errors.ts';
import type { ByteString } from '../../base/text/byte-string.ts';
import { SystemError } from '../../linux/libc.ts';
import { type FoundEntry, type FoundKind, parentOf, type Tree } from '../../tree/tree.ts';
import { parseDirectory } from '../format/directory-blocks.ts';
import { chunkMapShape, type Extent, parseChunkMap } from '../format/extent-list.ts';
import { dataLayouts, fileTypes, inodeSize, roundUp, typeMask } from '../format/layout.ts';
import { parseSuperblock, type Superblock } from '../format/superblock.ts';
import { decodeXattrs } from '../format/xattr-body.ts';
import { type ImageInode, parseInode } from './image-inode.ts';

const { O_NOFOLLOW, O_RDONLY } = constants;
/** The first bytes of an image: most have not more devices than fit in there. */
const startSize = 4096;
/** Data and tables that are read at once have no more bytes. */
const largestTable = 1 << 28;
const permissions = 0o7777;

const kinds: ReadonlyMap<number, FoundKind> = new Map([
  [fileTypes.directory, 'directory'],
  [fileTypes.file, 'file'],
  [fileTypes.symlink, 'symlink'],
]);

/** Where the data of a file is. */
export interface ImageData {
  /** Blocks of the image and its devices. */
  readonly extents: readonly Extent[];
  /** Data that lies with the inode instead, whole. */
  readonly inline?: Buffer;
}

interface ImageDirectory {
  readonly path: ByteString;
  /** Where the inode of each name is, without `.` and `..`. */
  readonly entries: ReadonlyMap<ByteString, number>;
}

/** Looks into an image that Kiln wrote, without a mount. Errors about what is no such image have the code `data_loss`. */
export class ErofsImage implements Tree, Disposable {
  readonly superblock: Superblock;
  readonly #descriptor: number;
  readonly #size: number;
  /** The directory that was asked for last. */
  #last: ImageDirectory | undefined;

  constructor(file: string) {
    this.#descriptor = openSync(file, O_RDONLY | O_NOFOLLOW);
    try {
      this.#size = fstatSync(this.#descriptor).size;
      const start = this.#readSome(0, startSize);
      this.superblock = parseSuperblock(start, (size) => this.#readSome(0, size));
      const { blocks, blockSize } = this.superblock;
      if (this.#size < blocks * blockSize)
        throw new KilnError('data_loss', `the EROFS image ${file} is cut off`);
    } catch (error) {
      closeSync(this.#descriptor);
      throw error;
    }
  }

  lookup(path: ByteString): FoundEntry | undefined {
    const inode = this.find(path);
    if (!inode) return undefined;
    const type = inode.mode & typeMask;
    const isMark = type === fileTypes['character-device'] && inode.device === 0;
    return {
      kind: kinds.get(type) ?? (isMark ? 'whiteout' : 'other'),
      mode: inode.mode & permissions,
      uid: inode.uid,
      gid: inode.gid,
    };
  }

  readLink(path: ByteString): ByteString {
    const inode = this.find(path) ?? fail('ENOENT', path);
    if ((inode.mode & typeMask) !== fileTypes.symlink) throw failure('EINVAL', path);
    return this.read(inode).toString('latin1');
  }

  names(path: ByteString): ByteString[] {
    const directory = this.#directory(path) ?? fail('ENOENT', path);
    return [...directory.entries.keys()];
  }

  /** Undefined when there is no such entry. Throws ENOTDIR. */
  find(path: ByteString): ImageInode | undefined {
    if (path === '') return this.#inode(this.superblock.root);
    const directory = this.#directory(parentOf(path));
    const position = directory?.entries.get(path.slice(path.lastIndexOf('/') + 1));
    return position === undefined ? undefined : this.#inode(position);
  }

  xattrs(inode: ImageInode): ReadonlyMap<string, ByteString> {
    return decodeXattrs(this.#readAll(inode.position + inodeSize, inode.xattrSize));
  }

  /** Where the data of a regular file, a link or a directory is. */
  data(inode: ImageInode): ImageData {
    const { blockSize } = this.superblock;
    const after = inode.position + inodeSize + inode.xattrSize;
    switch (inode.layout) {
      case dataLayouts.inline:
        return { extents: [], inline: this.#readAll(after, inode.size) };
      case dataLayouts.chunks: {
        const { width, entries } = chunkMapShape(inode.place, inode.size, blockSize);
        const map = this.#readAll(roundUp(after, width), entries * width);
        return { extents: parseChunkMap(map, inode.place, inode.size, blockSize) };
      }
      case dataLayouts.plain: {
        const count = Math.ceil(inode.size / blockSize);
        return { extents: count === 0 ? [] : [{ block: 0, count, address: inode.place, device: 0 }] };
      }
      default:
        throw new KilnError('data_loss', `an EROFS image has data in a layout of others, ${inode.layout}`);
    }
  }

  /** Reads data that is all in the image itself. */
  read(inode: ImageInode): Buffer {
    const { extents, inline } = this.data(inode);
    if (inline) return inline;
    if (inode.size > largestTable)
      throw new KilnError('resource_exhausted', 'this is too large to be read at once');
    const { blockSize } = this.superblock;
    const data = Buffer.alloc(inode.size);
    for (const { block, count, address, device } of extents) {
      if (device !== 0)
        throw new KilnError('failed_precondition', 'data of an EROFS image is on another device');
      if (address === undefined) continue;
      const at = block * blockSize;
      const size = Math.min(count * blockSize, inode.size - at);
      this.#readAll(address * blockSize, size).copy(data, at);
    }
    return data;
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }

  #inode(position: number): ImageInode {
    return parseInode(this.#readAll(position, inodeSize), position);
  }

  #directory(path: ByteString): ImageDirectory | undefined {
    if (this.#last?.path === path) return this.#last;
    const inode = this.find(path);
    if (!inode) return undefined;
    if ((inode.mode & typeMask) !== fileTypes.directory) throw failure('ENOTDIR', path);
    const entries = new Map<ByteString, number>();
    for (const { name, position } of parseDirectory(this.read(inode), this.superblock.blockSize)) {
      if (name !== '.' && name !== '..') entries.set(name, position);
    }
    this.#last = { path, entries };
    return this.#last;
  }

  #readAll(position: number, length: number): Buffer {
    if (length > largestTable || position + length > this.#size) {
      throw new KilnError(
        'data_loss',
        `an EROFS image has nothing at byte ${position}: ${length} bytes should be there`,
      );
    }
    return this.#readSome(position, length);
  }

  /** Less at the end of the image. */
  #readSome(position: number, length: number): Buffer {
    const bytes = Buffer.alloc(Math.min(length, Math.max(this.#size - position, 0)));
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(this.#descriptor, bytes, done, bytes.length - done, position + done);
      if (read === 0) return bytes.subarray(0, done);
      done += read;
    }
    return bytes;
  }
}

function fail(errno: 'ENOENT', path: ByteString): never {
  throw failure(errno, path);
}

function failure(errno: 'ENOENT' | 'ENOTDIR' | 'EINVAL', path: ByteString): SystemError {
  return new SystemError('open', os.errno[errno], Buffer.from(path, 'latin1'));
}
