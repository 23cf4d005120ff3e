import { type ByteString, fromByteString } from '../../base/text/byte-string.ts';
import type { Fail } from './fail.ts';
import { cString, headerName, headerNumber } from './header-block.ts';
import { paxNumber, paxTime } from './pax-records.ts';
import { SparseMap, sparseNumber } from './sparse-map.ts';
import { type TarEntry, type TarEntryType, xattrKeyPrefix } from './tar-entry.ts';

/** What the extension entries that came before an entry say about it. */
export interface Overrides {
  longName?: ByteString;
  longLinkName?: ByteString;
  records?: Map<string, ByteString>;
}

/** What an entry says of its holes. */
export interface Sparse {
  readonly map: SparseMap;
  /** Where the rest of the map is: in blocks after the header, in lines before the data. */
  readonly more: 'none' | 'blocks' | 'text';
}

const types: Readonly<Record<string, TarEntryType>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  D: 'directory',
  '6': 'fifo',
};

const volumeLabel = 'V';
/** The kernel takes 2^32 - 1 for "leave it". */
const maximumId = 0xffff_fffe;

/** What an entry is called. */
export function entryName(block: Buffer, { records, longName }: Overrides): ByteString {
  return records?.get('GNU.sparse.name') ?? records?.get('path') ?? longName ?? headerName(block);
}

/**
 * The entry of a header and of what came before it. `headerSize`: what the header says of its size. Without an entry, it is not for unpacking; `size` is
 * in any case the number of bytes of data in the archive.
 */
export function readEntry(
  block: Buffer,
  flag: string,
  headerSize: number,
  name: ByteString,
  overrides: Overrides,
  fail: Fail,
): { readonly entry?: TarEntry; readonly size: number; readonly sparse?: Sparse } {
  const records = overrides.records ?? new Map<string, ByteString>();
  const size = paxNumber(records, 'size', fail) ?? headerSize;
  if (flag === volumeLabel) return { size };
  if (flag === 'M') throw fail('it continues an entry of another volume');
  // Directories of archives from before there was a type for them have a slash at the end.
  const isOldDirectory = name.endsWith('/') && (flag === '\0' || (flag === '0' && size === 0));
  const type = isOldDirectory ? 'directory' : types[flag];
  if (type === undefined) throw fail(`unknown entry type ${JSON.stringify(flag)}`);
  const sparse = flag === 'S' ? oldSparse(block, fail) : paxSparse(records, size, fail);
  if (sparse && type !== 'file') throw fail('it has a sparse map and is no file');
  const xattrs = new Map<string, ByteString>();
  for (const [key, value] of records) {
    if (key.startsWith(xattrKeyPrefix)) {
      xattrs.set(fromByteString(key.slice(xattrKeyPrefix.length)), value);
    }
  }
  const isDevice = type === 'character-device' || type === 'block-device';
  const entry: TarEntry = {
    name,
    type,
    mode: headerNumber(block, 100, 8, fail) & 0o7777,
    uid: ownerId(paxNumber(records, 'uid', fail) ?? headerNumber(block, 108, 8, fail), fail),
    gid: ownerId(paxNumber(records, 'gid', fail) ?? headerNumber(block, 116, 8, fail), fail),
    size: type === 'file' ? (sparse?.map.size ?? size) : 0,
    mtime: paxTime(records, fail) ?? BigInt(headerNumber(block, 136, 12, fail)) * 1_000_000_000n,
    linkName:
      type === 'hardlink' || type === 'symlink'
        ? (records.get('linkpath') ?? overrides.longLinkName ?? cString(block.subarray(157, 257)))
        : '',
    deviceMajor: isDevice ? headerNumber(block, 329, 8, fail) : 0,
    deviceMinor: isDevice ? headerNumber(block, 337, 8, fail) : 0,
    ...(xattrs.size > 0 ? { xattrs } : {}),
  };
  // Only files carry data, whatever a link's size field says, and a directory of a backup its list of names.
  return { entry, size: type === 'file' || flag === 'D' ? size : 0, ...(sparse && { sparse }) };
}

function oldSparse(block: Buffer, fail: Fail): Sparse {
  const map = new SparseMap(headerNumber(block, 483, 12, fail), fail);
  addPieces(block, 386, 4, map, fail);
  return { map, more: block[482] === 0 ? 'none' : 'blocks' };
}

/** Versions 0.0, 0.1 (which do not name themselves) and 1.0. */
function paxSparse(records: ReadonlyMap<string, ByteString>, size: number, fail: Fail): Sparse | undefined {
  const major = records.get('GNU.sparse.major');
  const minor = records.get('GNU.sparse.minor');
  const list = records.get('GNU.sparse.map');
  const isSparse = [major, minor, list, records.get('GNU.sparse.numblocks')].some(Boolean);
  if (!isSparse) return undefined;
  const version = major === undefined && minor === undefined ? '0.1' : `${major}.${minor}`;
  if (version !== '0.0' && version !== '0.1' && version !== '1.0') {
    throw fail(`its sparse format ${JSON.stringify(version)} is unknown`);
  }
  const stated = records.get('GNU.sparse.realsize') ?? records.get('GNU.sparse.size');
  const map = new SparseMap(stated === undefined ? size : sparseNumber(stated, fail), fail);
  if (version === '1.0') return { map, more: 'text' };
  const numbers = list ? list.split(',') : [];
  const count = sparseNumber(records.get('GNU.sparse.numblocks') ?? String(numbers.length / 2), fail);
  if (numbers.length !== 2 * count) throw fail('its sparse map has another length than it says');
  for (let at = 0; at < numbers.length; at += 2) {
    map.add(sparseNumber(numbers[at]!, fail), sparseNumber(numbers[at + 1]!, fail));
  }
  return { map, more: 'none' };
}

/** Up to `count` pieces of a sparse map at `offset` of a header or its extension (old GNU format). */
export function addPieces(block: Buffer, offset: number, count: number, map: SparseMap, fail: Fail): void {
  for (let at = offset; at < offset + count * 24 && block[at] !== 0; at += 24) {
    map.add(headerNumber(block, at, 12, fail), headerNumber(block, at + 12, 12, fail));
  }
}

function ownerId(value: number, fail: Fail): number {
  if (value < 0 || value > maximumId) throw fail(`its owner has the number ${value}`);
  return value;
}
