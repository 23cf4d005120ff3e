import { KilnError } from '../base/errors.ts';
import { type ByteString, fromByteString } from './byte-path.ts';
import { blockSize, type TarEntry, type TarEntryType, xattrKeyPrefix } from './tar-entry.ts';

/** Receives an archive's entries in order, each as `entry`, any number of `data`, and `entryEnd`. */
export interface TarHandler {
  entry(entry: TarEntry): void;
  /** The bytes are only valid during the call. */
  data(chunk: Uint8Array): void;
  entryEnd(): void;
}

/** What the extension entries that came before an entry say about it. */
interface Overrides {
  longName?: ByteString;
  longLinkName?: ByteString;
  records?: Map<string, ByteString>;
}

type State =
  | { readonly kind: 'header' }
  | { readonly kind: 'data'; remaining: number; readonly padding: number }
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
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
};

/**
 * Reads a tar archive that is pushed in chunks of any size: v7, USTAR, pax (POSIX.1-2001) and GNU (long names, base-256
 * numbers). Sparse files are refused. Errors are `invalid_argument` and name the entry.
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

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  write(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const state = this.#state;
      switch (state.kind) {
        case 'header': {
          const taken = Math.min(blockSize - this.#filled, chunk.length - at);
          this.#block.set(chunk.subarray(at, at + taken), this.#filled);
          this.#filled += taken;
          at += taken;
          if (this.#filled === blockSize) {
            this.#filled = 0;
            this.#header(this.#block);
          }
          break;
        }
        case 'data': {
          const taken = Math.min(state.remaining, chunk.length - at);
          this.#handler.data(chunk.subarray(at, at + taken));
          state.remaining -= taken;
          at += taken;
          if (state.remaining === 0) {
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
    const size = this.#number(block, 124, 12);
    if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') {
      if (size > maximumExtension) throw this.#invalid('an extended header is larger than 1 MiB');
      const data = Buffer.alloc(size);
      if (size === 0) this.#state = { kind: 'header' };
      else this.#state = { kind: 'extension', flag, data, filled: 0, padding: paddingOf(size) };
      return;
    }
    const entry = this.#entry(block, flag, size);
    this.#overrides = {};
    this.#lastName = entry.name;
    this.#handler.entry(entry);
    // Only files carry data, whatever a link's size field says.
    if (entry.size > 0) this.#state = { kind: 'data', remaining: entry.size, padding: paddingOf(entry.size) };
    else {
      this.#handler.entryEnd();
      this.#state = { kind: 'header' };
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

  #entry(block: Buffer, flag: string, headerSize: number): TarEntry {
    const records = this.#overrides.records ?? new Map<string, ByteString>();
    const name = records.get('path') ?? this.#overrides.longName ?? headerName(block);
    this.#lastName = name;
    if (flag === 'S' || [...records.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
      throw new KilnError(
        'unimplemented',
        `tar entry ${show(name)} is a sparse file, which layers cannot hold`,
        {
          hint: 'make the archive without --sparse',
        },
      );
    }
    const type = flag === '0' || flag === '\0' ? (name.endsWith('/') ? 'directory' : 'file') : types[flag];
    if (type === undefined) throw this.#invalid(`unknown entry type ${JSON.stringify(flag)}`);
    const size = this.#decimal(records, 'size') ?? headerSize;
    const xattrs = new Map<string, ByteString>();
    for (const [key, value] of records) {
      if (key.startsWith(xattrKeyPrefix)) {
        xattrs.set(fromByteString(key.slice(xattrKeyPrefix.length)), value);
      }
    }
    const isDevice = type === 'character-device' || type === 'block-device';
    return {
      name,
      type,
      mode: this.#number(block, 100, 8) & 0o7777,
      uid: this.#decimal(records, 'uid') ?? this.#number(block, 108, 8),
      gid: this.#decimal(records, 'gid') ?? this.#number(block, 116, 8),
      size: type === 'file' ? size : 0,
      mtime: this.#time(records) ?? BigInt(this.#number(block, 136, 12)) * 1_000_000_000n,
      linkName:
        type === 'hardlink' || type === 'symlink'
          ? (records.get('linkpath') ?? this.#overrides.longLinkName ?? cString(block.subarray(157, 257)))
          : '',
      deviceMajor: isDevice ? this.#number(block, 329, 8) : 0,
      deviceMinor: isDevice ? this.#number(block, 337, 8) : 0,
      ...(xattrs.size > 0 ? { xattrs } : {}),
    };
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
    const text = field
      .toString('latin1')
      .replace(/[\0 ]+$/, '')
      .replace(/^[\0 ]+/, '');
    if (!/^[0-7]*$/.test(text)) throw this.#invalid(`a header has the number ${JSON.stringify(text)}`);
    return text === '' ? 0 : Number.parseInt(text, 8);
  }

  #decimal(records: ReadonlyMap<string, ByteString>, key: string): number | undefined {
    const text = records.get(key);
    if (text === undefined) return undefined;
    if (!/^[0-9]{1,16}$/.test(text)) throw this.#invalid(`its pax ${key} is ${JSON.stringify(text)}`);
    return this.#safe(Number(text));
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
      if (value === '') records.delete(key);
      else records.set(key, value);
      at = end;
    }
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
  const prefix = isUstar ? cString(block.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}
