import { KilnError } from '../../base/errors.ts';
import { type ByteString, fromByteString } from '../../base/text/byte-string.ts';
import { type SparseData, SparseMap, SparseMapText, sparseNumber } from './sparse-map.ts';
import { blockSize, type TarEntry, type TarEntryType, xattrKeyPrefix } from './tar-entry.ts';
import type { TarHandler } from './tar-handler.ts';

/** What the extension entries that came before an entry say about it. */
interface Overrides {
  longName?: ByteString;
  longLinkName?: ByteString;
  records?: Map<string, ByteString>;
}

/** What an entry says of its holes. */
interface Sparse {
  readonly map: SparseMap;
  /** Where the rest of the map is: in blocks after the header, in lines before the data. */
  readonly more: 'none' | 'blocks' | 'text';
}

type State =
  | { readonly kind: 'header' }
  | { readonly kind: 'data'; remaining: number; readonly padding: number; readonly sparse?: SparseData }
  /** Blocks with the rest of an old GNU sparse map, between the header and the data of `size` bytes. */
  | {
      readonly kind: 'sparse-blocks';
      readonly entry: TarEntry;
      readonly map: SparseMap;
      readonly size: number;
    }
  /** The map at the start of the data; `remaining` bytes of it and the data are to come. */
  | {
      readonly kind: 'sparse-text';
      readonly entry: TarEntry;
      readonly map: SparseMap;
      readonly text: SparseMapText;
      remaining: number;
    }
  | {
      readonly kind: 'extension';
      readonly flag: string;
      readonly data: Buffer;
      filled: number;
      padding: number;
    }
  | { readonly kind: 'padding'; remaining: number }
  | { readonly kind: 'end' };

/** The most that a pax header or a GNU long name may take; more is an attack. Bytes. */
const maximumExtension = 1 << 20;

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
/** Records whose values are names. */
const namingKeys: ReadonlySet<string> = new Set(['path', 'linkpath', 'GNU.sparse.name']);
/** The kernel takes 2^32 - 1 for "leave it". */
const maximumId = 0xffff_fffe;

/**
 * Reads a tar archive that is pushed in chunks of any size: v7, USTAR, pax (POSIX.1-2001) and GNU (long names, base-256
 * numbers, sparse files of all its formats). Volume labels are passed over. Errors are `invalid_argument` and name the entry.
 *
 * Own code, because it is fed and drained without waiting (the extractor's file calls are synchronous in their thread),
 * and npm's tar readers decode names as Unicode text.
 */
export class TarParser {
  readonly #handler: TarHandler;
  readonly #block = Buffer.alloc(blockSize);
  #filled = 0;
  #state: State = { kind: 'header' };
  #overrides: Overrides = {};
  #lastName: ByteString = '';
  #hasMember = false;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  /** Whether the archive has been seen to have an entry, of any kind. */
  get hasMember(): boolean {
    return this.#hasMember;
  }

  /** Whether the end of the archive was read. What comes after it is not part of it. */
  get isAtEnd(): boolean {
    return this.#state.kind === 'end';
  }

  write(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const state = this.#state;
      switch (state.kind) {
        case 'header':
        case 'sparse-blocks':
        case 'sparse-text': {
          const taken = Math.min(blockSize - this.#filled, chunk.length - at);
          this.#block.set(chunk.subarray(at, at + taken), this.#filled);
          this.#filled += taken;
          at += taken;
          if (this.#filled === blockSize) {
            this.#filled = 0;
            if (state.kind === 'header') this.#header(this.#block);
            else if (state.kind === 'sparse-blocks') this.#sparseBlock(this.#block, state);
            else this.#sparseText(this.#block, state);
          }
          break;
        }
        case 'data': {
          const taken = Math.min(state.remaining, chunk.length - at);
          const data = chunk.subarray(at, at + taken);
          if (state.sparse) state.sparse.write(data);
          else this.#handler.data(data);
          state.remaining -= taken;
          at += taken;
          if (state.remaining === 0) {
            state.sparse?.end();
            this.#handler.entryEnd();
            this.#pad(state.padding);
          }
          break;
        }
        case 'extension': {
          const taken = Math.min(state.data.length - state.filled, chunk.length - at);
          state.data.set(chunk.subarray(at, at + taken), state.filled);
          state.filled += taken;
          at += taken;
          if (state.filled === state.data.length) {
            this.#extension(state.flag, state.data);
            this.#pad(state.padding);
          }
          break;
        }
        case 'padding': {
          const taken = Math.min(state.remaining, chunk.length - at);
          state.remaining -= taken;
          at += taken;
          if (state.remaining === 0) this.#state = { kind: 'header' };
          break;
        }
        case 'end':
          return;
      }
    }
  }

  /** Call after the last chunk. Throws when the archive stops in the middle of an entry. */
  finish(): void {
    const whole =
      this.#state.kind === 'end' ||
      this.#state.kind === 'padding' ||
      (this.#state.kind === 'header' && this.#filled === 0);
    if (!whole) throw this.#invalid('the archive ends in the middle of an entry');
  }

  #pad(padding: number): void {
    this.#state = padding > 0 ? { kind: 'padding', remaining: padding } : { kind: 'header' };
  }

  #header(block: Buffer): void {
    if (isZero(block)) {
      this.#state = { kind: 'end' };
      return;
    }
    this.#verifyChecksum(block);
    const flag = String.fromCharCode(block[156]!);
    const headerSize = this.#number(block, 124, 12);
    if (headerSize < 0) throw this.#invalid('a header has a negative size');
    if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') {
      if (flag === 'g') this.#hasMember = true;
      if (headerSize > maximumExtension) throw this.#invalid('an extended header is larger than 1 MiB');
      const data = Buffer.alloc(headerSize);
      if (headerSize === 0) this.#state = { kind: 'header' };
      else this.#state = { kind: 'extension', flag, data, filled: 0, padding: paddingOf(headerSize) };
      return;
    }
    this.#hasMember = true;
    const { entry, size, sparse } = this.#entry(block, flag, headerSize);
    this.#overrides = {};
    if (!entry) {
      this.#skip(size);
    } else if (!sparse) {
      this.#begin(entry, entry.size);
      // Names of files, which some backups put into directories.
      if (entry.type === 'directory') this.#skip(size);
    } else if (sparse.more === 'blocks') {
      this.#state = { kind: 'sparse-blocks', entry, map: sparse.map, size };
    } else if (sparse.more === 'text') {
      if (size < blockSize) throw this.#invalid('its sparse map is longer than the entry');
      const text = new SparseMapText(sparse.map, (why) => this.#invalid(why));
      this.#state = { kind: 'sparse-text', entry, map: sparse.map, text, remaining: size };
    } else this.#beginSparse(entry, sparse.map, size);
  }

  /** Hands an entry on and waits for `size` bytes of data. */
  #begin(entry: TarEntry, size: number, map?: SparseMap): void {
    this.#handler.entry(entry);
    const sparse = map?.placing(this.#handler);
    if (size > 0) {
      this.#state = { kind: 'data', remaining: size, padding: paddingOf(size), ...(sparse && { sparse }) };
      return;
    }
    sparse?.end();
    this.#handler.entryEnd();
    this.#state = { kind: 'header' };
  }

  #beginSparse(entry: TarEntry, map: SparseMap, size: number): void {
    map.verifyDataSize(size);
    this.#begin(entry, size, map);
  }

  #skip(size: number): void {
    this.#pad(size + paddingOf(size));
  }

  #sparseBlock(block: Buffer, { entry, map, size }: Extract<State, { kind: 'sparse-blocks' }>): void {
    this.#addPieces(block, 0, 21, map);
    if (block[504] === 0) this.#beginSparse(entry, map, size);
  }

  #sparseText(block: Buffer, state: Extract<State, { kind: 'sparse-text' }>): void {
    const { entry, map, text } = state;
    text.write(block);
    state.remaining -= blockSize;
    if (text.isComplete) this.#beginSparse(entry, map, state.remaining);
    else if (state.remaining < blockSize) throw this.#invalid('its sparse map is longer than the entry');
  }

  /** Up to `count` pieces of a sparse map at `offset` of a header or its extension (old GNU format). */
  #addPieces(block: Buffer, offset: number, count: number, map: SparseMap): void {
    for (let at = offset; at < offset + count * 24 && block[at] !== 0; at += 24) {
      map.add(this.#number(block, at, 12), this.#number(block, at + 12, 12));
    }
  }

  #extension(flag: string, data: Buffer): void {
    switch (flag) {
      case 'x':
        this.#overrides.records = this.#records(data.toString('latin1'));
        break;
      case 'L':
        this.#overrides.longName = cString(data);
        break;
      case 'K':
        this.#overrides.longLinkName = cString(data);
        break;
      // Global headers carry nothing a layer needs (a commit id by `git archive`).
      default:
    }
  }

  /** `size`: bytes of data in the archive. No entry: it is not for unpacking. */
  #entry(
    block: Buffer,
    flag: string,
    headerSize: number,
  ): { readonly entry?: TarEntry; readonly size: number; readonly sparse?: Sparse } {
    const records = this.#overrides.records ?? new Map<string, ByteString>();
    const sparseName = records.get('GNU.sparse.name');
    const name = sparseName ?? records.get('path') ?? this.#overrides.longName ?? headerName(block);
    this.#lastName = name;
    const size = this.#decimal(records, 'size') ?? headerSize;
    if (flag === volumeLabel) return { size };
    if (flag === 'M') throw this.#invalid('it continues an entry of another volume');
    // Directories of archives from before there was a type for them have a slash at the end.
    const isOldDirectory = name.endsWith('/') && (flag === '\0' || (flag === '0' && size === 0));
    const type = isOldDirectory ? 'directory' : types[flag];
    if (type === undefined) throw this.#invalid(`unknown entry type ${JSON.stringify(flag)}`);
    const sparse = flag === 'S' ? this.#oldSparse(block) : this.#paxSparse(records, size);
    if (sparse && type !== 'file') throw this.#invalid('it has a sparse map and is no file');
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
      mode: this.#number(block, 100, 8) & 0o7777,
      uid: this.#id(this.#decimal(records, 'uid') ?? this.#number(block, 108, 8)),
      gid: this.#id(this.#decimal(records, 'gid') ?? this.#number(block, 116, 8)),
      size: type === 'file' ? (sparse?.map.size ?? size) : 0,
      mtime: this.#time(records) ?? BigInt(this.#number(block, 136, 12)) * 1_000_000_000n,
      linkName:
        type === 'hardlink' || type === 'symlink'
          ? (records.get('linkpath') ?? this.#overrides.longLinkName ?? cString(block.subarray(157, 257)))
          : '',
      deviceMajor: isDevice ? this.#number(block, 329, 8) : 0,
      deviceMinor: isDevice ? this.#number(block, 337, 8) : 0,
      ...(xattrs.size > 0 ? { xattrs } : {}),
    };
    // Only files carry data, whatever a link's size field says, and a directory of a backup its list of names.
    return { entry, size: type === 'file' || flag === 'D' ? size : 0, ...(sparse && { sparse }) };
  }

  #oldSparse(block: Buffer): Sparse {
    const map = new SparseMap(this.#number(block, 483, 12), (why) => this.#invalid(why));
    this.#addPieces(block, 386, 4, map);
    return { map, more: block[482] === 0 ? 'none' : 'blocks' };
  }

  /** Versions 0.0, 0.1 (which do not name themselves) and 1.0. */
  #paxSparse(records: ReadonlyMap<string, ByteString>, size: number): Sparse | undefined {
    const fail = (why: string) => this.#invalid(why);
    const major = records.get('GNU.sparse.major');
    const minor = records.get('GNU.sparse.minor');
    const list = records.get('GNU.sparse.map');
    const isSparse = [major, minor, list, records.get('GNU.sparse.numblocks')].some(Boolean);
    if (!isSparse) return undefined;
    const version = major === undefined && minor === undefined ? '0.1' : `${major}.${minor}`;
    if (version !== '0.0' && version !== '0.1' && version !== '1.0') {
      throw this.#invalid(`its sparse format ${JSON.stringify(version)} is unknown`);
    }
    const stated = records.get('GNU.sparse.realsize') ?? records.get('GNU.sparse.size');
    const map = new SparseMap(stated === undefined ? size : sparseNumber(stated, fail), fail);
    if (version === '1.0') return { map, more: 'text' };
    const numbers = list ? list.split(',') : [];
    const count = sparseNumber(records.get('GNU.sparse.numblocks') ?? String(numbers.length / 2), fail);
    if (numbers.length !== 2 * count) throw this.#invalid('its sparse map has another length than it says');
    for (let at = 0; at < numbers.length; at += 2) {
      map.add(sparseNumber(numbers[at]!, fail), sparseNumber(numbers[at + 1]!, fail));
    }
    return { map, more: 'none' };
  }

  #verifyChecksum(block: Buffer): void {
    let unsigned = 0;
    let signed = 0;
    for (let index = 0; index < blockSize; index++) {
      const byte = index >= 148 && index < 156 ? 0x20 : block[index]!;
      unsigned += byte;
      signed += byte < 128 ? byte : byte - 256;
    }
    const stated = this.#number(block, 148, 8);
    if (stated !== unsigned && stated !== signed) throw this.#invalid('a header has a wrong checksum');
  }

  /** Octal text, or base-256 (two's complement) when the first byte's highest bit is set. */
  #number(block: Buffer, offset: number, length: number): number {
    const field = block.subarray(offset, offset + length);
    if (field[0]! & 0x80) {
      const negative = (field[0]! & 0x40) !== 0;
      let value = BigInt(negative ? (field[0]! & 0x7f) - 0x80 : field[0]! & 0x7f);
      for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
      return this.#safe(Number(value));
    }
    const [text = ''] = field
      .toString('latin1')
      .replace(/^[\0 ]+/, '')
      .replace(/[\0 ]+$/, '')
      .split('\0');
    if (!/^[0-7]*$/.test(text)) throw this.#invalid(`a header has the number ${JSON.stringify(text)}`);
    return text === '' ? 0 : Number.parseInt(text, 8);
  }

  #decimal(records: ReadonlyMap<string, ByteString>, key: string): number | undefined {
    const text = records.get(key);
    if (text === undefined) return undefined;
    if (!/^[0-9]{1,16}$/.test(text)) throw this.#invalid(`its pax ${key} is ${JSON.stringify(text)}`);
    return this.#safe(Number(text));
  }

  #id(value: number): number {
    if (value < 0 || value > maximumId) throw this.#invalid(`its owner has the number ${value}`);
    return value;
  }

  #safe(value: number): number {
    if (!Number.isSafeInteger(value)) throw this.#invalid('a header holds a number beyond 2^53');
    return value;
  }

  #time(records: ReadonlyMap<string, ByteString>): bigint | undefined {
    const text = records.get('mtime');
    if (text === undefined) return undefined;
    const [, sign, seconds, fraction = ''] = /^(-?)([0-9]{1,12})(?:\.([0-9]*))?$/.exec(text) ?? [];
    if (seconds === undefined) throw this.#invalid(`its pax mtime is ${JSON.stringify(text)}`);
    const size = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9));
    return sign === '-' ? -size : size;
  }

  /** Lines of `length key=value`; the value may hold anything, new lines too. An empty one takes the field back. */
  #records(text: ByteString): Map<string, ByteString> {
    const records = new Map<string, ByteString>();
    /** Of a sparse map in version 0.0, whose keys come again and again. */
    const pieces: ByteString[] = [];
    for (let at = 0; at < text.length; ) {
      const space = text.indexOf(' ', at);
      const digits = text.slice(at, space);
      const end = at + Number(digits);
      const equals = text.indexOf('=', space);
      if (
        space < 0 ||
        !/^[0-9]{1,7}$/.test(digits) ||
        equals < 0 ||
        equals >= end ||
        end > text.length ||
        text[end - 1] !== '\n'
      ) {
        throw this.#invalid('a pax header has a malformed record');
      }
      const value = text.slice(equals + 1, end - 1);
      const key = text.slice(space + 1, equals);
      at = end;
      if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
        if ((pieces.length % 2 === 0) !== (key === 'GNU.sparse.offset') || value.includes(',')) {
          throw this.#invalid('a pax header has a malformed sparse map');
        }
        pieces.push(value);
        continue;
      }
      if (key.includes('\0') || (namingKeys.has(key) && value.includes('\0'))) {
        throw this.#invalid('a pax header has a zero byte in a name');
      }
      if (value === '' && !key.startsWith(xattrKeyPrefix)) records.delete(key);
      else records.set(key, value);
    }
    if (pieces.length > 0) records.set('GNU.sparse.map', pieces.join(','));
    return records;
  }

  #invalid(why: string): KilnError {
    const where = this.#lastName === '' ? 'at its start' : `at or after entry ${show(this.#lastName)}`;
    return new KilnError('invalid_argument', `malformed tar archive, ${where}: ${why}`);
  }
}

function show(name: ByteString): string {
  return JSON.stringify(fromByteString(name));
}

function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}

function paddingOf(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize;
}

function cString(bytes: Buffer): ByteString {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
}

/** USTAR keeps the front of a long name in its own field; GNU uses that field for other things. */
function headerName(block: Buffer): ByteString {
  const name = cString(block.subarray(0, 100));
  const isUstar = block.toString('latin1', 257, 263) === 'ustar\0';
  // star has times at the end of that field.
  const prefixEnd = block.toString('latin1', 508, 512) === 'tar\0' ? 476 : 500;
  const prefix = isUstar ? cString(block.subarray(345, prefixEnd)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}
