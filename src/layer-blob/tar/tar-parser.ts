import { KilnError } from '../../base/errors.ts';
import { type ByteString, fromByteString } from '../../base/text/byte-string.ts';
import { cString, headerNumber, isZero, verifyChecksum } from './header-block.ts';
import { readPaxRecords } from './pax-records.ts';
import { addPieces, entryName, type Overrides, readEntry } from './read-entry.ts';
import { type SparseData, type SparseMap, SparseMapText } from './sparse-map.ts';
import { blockSize, type TarEntry } from './tar-entry.ts';
import type { TarHandler } from './tar-handler.ts';

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
  readonly #fail = (why: string) => this.#invalid(why);

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
    verifyChecksum(block, this.#fail);
    const flag = String.fromCharCode(block[156]!);
    const headerSize = headerNumber(block, 124, 12, this.#fail);
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
    this.#lastName = entryName(block, this.#overrides);
    const { entry, size, sparse } = readEntry(
      block,
      flag,
      headerSize,
      this.#lastName,
      this.#overrides,
      this.#fail,
    );
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
      const text = new SparseMapText(sparse.map, this.#fail);
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
    addPieces(block, 0, 21, map, this.#fail);
    if (block[504] === 0) this.#beginSparse(entry, map, size);
  }

  #sparseText(block: Buffer, state: Extract<State, { kind: 'sparse-text' }>): void {
    const { entry, map, text } = state;
    text.write(block);
    state.remaining -= blockSize;
    if (text.isComplete) this.#beginSparse(entry, map, state.remaining);
    else if (state.remaining < blockSize) throw this.#invalid('its sparse map is longer than the entry');
  }

  #extension(flag: string, data: Buffer): void {
    switch (flag) {
      case 'x':
        this.#overrides.records = readPaxRecords(data.toString('latin1'), this.#fail);
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

  #invalid(why: string): KilnError {
    const where = this.#lastName === '' ? 'at its start' : `at or after entry ${show(this.#lastName)}`;
    return new KilnError('invalid_argument', `malformed tar archive, ${where}: ${why}`);
  }
}

function show(name: ByteString): string {
  return JSON.stringify(fromByteString(name));
}

function paddingOf(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize;
}
