import { KilnError } from '../../base/errors.ts';
import type { ByteString } from '../../base/text/byte-string.ts';
import { fileTypes, inodeUnit, typeMask } from './layout.ts';

/** A name in a directory. */
export interface DirectoryEntry {
  readonly name: ByteString;
  /** Where its inode is, in bytes. */
  readonly position: number;
}

const entrySize = 12;
const typeNumbers: ReadonlyMap<number, number> = new Map([
  [fileTypes.file, 1],
  [fileTypes.directory, 2],
  [fileTypes['character-device'], 3],
  [fileTypes['block-device'], 4],
  [fileTypes.fifo, 5],
  [fileTypes.socket, 6],
  [fileTypes.symlink, 7],
]);

/** Returns the bytes that names take in blocks: each block has entries in front and their names after these. Names are sorted by bytes, `.` and `..` among them. */
export function directorySize(names: readonly ByteString[], blockSize: number): number {
  let full = 0;
  let used = 0;
  for (const { length } of names) {
    if (used + entrySize + length > blockSize) {
      full += blockSize;
      used = 0;
    }
    used += entrySize + length;
  }
  return full + used;
}

/** Writes the entries of a directory into `target`, which has the size that `directorySize` gives, and zeros. */
export function writeDirectory(
  target: Buffer,
  names: readonly ByteString[],
  blockSize: number,
  find: (name: ByteString) => { readonly position: number; readonly mode: number },
): void {
  let first = 0;
  for (let block = 0; block < target.length; block += blockSize) {
    let used = 0;
    let end = first;
    while (end < names.length && used + entrySize + names[end]!.length <= blockSize) {
      used += entrySize + names[end]!.length;
      end++;
    }
    let nameAt = (end - first) * entrySize;
    for (let at = block; first < end; first++, at += entrySize) {
      const name = names[first]!;
      const { position, mode } = find(name);
      const nid = position / inodeUnit;
      target.writeUInt32LE(nid % 2 ** 32, at);
      target.writeUInt32LE(Math.floor(nid / 2 ** 32), at + 4);
      target.writeUInt16LE(nameAt, at + 8);
      target[at + 10] = typeNumbers.get(mode & typeMask)!;
      target.write(name, block + nameAt, 'latin1');
      nameAt += name.length;
    }
  }
}

/** Reads the entries of a directory, `.` and `..` among them. Throws `data_loss`. */
export function parseDirectory(data: Buffer, blockSize: number): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (let start = 0; start < data.length; start += blockSize) {
    const block = data.subarray(start, start + blockSize);
    const count = block.length < entrySize ? 0 : block.readUInt16LE(8) / entrySize;
    if (count < 1 || !Number.isInteger(count) || count * entrySize > block.length) throw torn();
    for (let index = 0; index < count; index++) {
      const at = index * entrySize;
      const nameAt = block.readUInt16LE(at + 8);
      const end = index + 1 < count ? block.readUInt16LE(at + entrySize + 8) : endOfNames(block, nameAt);
      if (nameAt < count * entrySize || end <= nameAt || end > block.length) throw torn();
      const nid = block.readUInt32LE(at) + block.readUInt32LE(at + 4) * 2 ** 32;
      entries.push({ name: block.toString('latin1', nameAt, end), position: nid * inodeUnit });
    }
  }
  return entries;
}

/** The last name of a block ends with the block, or with a zero. */
function endOfNames(block: Buffer, nameAt: number): number {
  const zero = block.indexOf(0, nameAt);
  return zero === -1 ? block.length : zero;
}

function torn(): KilnError {
  return new KilnError('data_loss', 'a directory of an EROFS image is damaged');
}
