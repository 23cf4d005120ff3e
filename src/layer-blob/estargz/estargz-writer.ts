import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { Digester, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { fromByteString, toByteString } from '../../base/text/byte-string.ts';
import type { BlobSink, WrittenBlob } from '../blob-sink.ts';
import { blockSize, emptyEntry, type TarEntry } from '../tar/tar-entry.ts';
import { TarParser } from '../tar/tar-parser.ts';
import { TarWriter } from '../tar/tar-writer.ts';
import { type TocEntry, tocEntryOf, tocName } from './toc-entry.ts';

/** The most bytes of a file in one gzip member. */
const chunkSize = 4 * 1024 * 1024;
/** Bytes of headers after which a member ends, although no file begins. */
const memberSize = 1024 * 1024;
const readSize = 1 << 20;

/**
 * Writes a layer's tar to a file as eStargz: the bytes of the tar are kept, each chunk of a file is a gzip member, and so is what lies between
 * two files. Equal tars give equal bytes. Synchronous: for threads.
 */
export class EstargzWriter implements BlobSink, Disposable {
  readonly #file: number;
  readonly #level: number;
  readonly #throwIfAborted: () => void;
  readonly #tarDigester = new Digester();
  readonly #allDigester = new Digester();
  readonly #blobDigester = new Digester();
  readonly #parser: TarParser;
  readonly #toc: TocEntry[] = [];
  /** The entry whose header was just read, and has data. */
  #begun: TarEntry | undefined;
  /** The file whose data comes. */
  #data: FileData | undefined;
  /** What becomes the next member. */
  readonly #member = Buffer.allocUnsafeSlow(chunkSize);
  #filled = 0;
  /** How much of the block is there that has to be parsed next. */
  #inBlock = 0;
  #tarSize = 0;
  #size = 0;

  /** Creates the file, which must not exist. */
  constructor(path: string, options: { readonly level: number; readonly throwIfAborted: () => void }) {
    this.#level = options.level;
    this.#throwIfAborted = options.throwIfAborted;
    this.#file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    this.#parser = new TarParser({
      entry: (entry) => this.#entry(entry),
      data: () => {},
      hole: () => {
        throw impossible('has a file with holes');
      },
      entryEnd: () => {},
    });
  }

  write(chunk: Uint8Array): void {
    this.#tarDigester.update(chunk);
    this.#allDigester.update(chunk);
    this.#tarSize += chunk.length;
    for (let at = 0; at < chunk.length; ) {
      const wanted = this.#data
        ? Math.min(this.#data.left, chunkSize - this.#filled)
        : blockSize - this.#inBlock;
      const part = chunk.subarray(at, at + wanted);
      at += part.length;
      if (this.#data) this.#takeData(part, this.#data);
      else this.#takeHeader(part);
    }
  }

  copyFrom(file: number, size: number, name: string): void {
    const buffer = Buffer.allocUnsafe(Math.min(size, readSize));
    for (let left = size; left > 0; ) {
      const read = readSync(file, buffer, 0, Math.min(left, buffer.length), null);
      if (read === 0) {
        throw new KilnError('aborted', `${name} became ${left} bytes shorter while it was being read`);
      }
      left -= read;
      this.write(buffer.subarray(0, read));
    }
  }

  finish(): WrittenBlob {
    this.#parser.finish();
    this.#endMember();
    const tarDigest = this.#tarDigester.digest();
    const tocAt = this.#size;
    const toc = Buffer.from(JSON.stringify({ version: 1, entries: this.#toc }, undefined, '\t'));
    const parts: Uint8Array[] = [];
    const tar = new TarWriter((bytes) => parts.push(Buffer.from(bytes)));
    tar.header({ ...emptyEntry, type: 'file', name: toByteString(tocName), size: toc.length });
    parts.push(toc);
    tar.pad(toc.length);
    tar.end();
    const archive = Buffer.concat(parts);
    this.#allDigester.update(archive);
    this.#put(gzipSync(archive, { level: this.#level }));
    this.#put(footer(tocAt));
    return {
      diffId: this.#allDigester.digest(),
      tarSize: this.#tarSize + archive.length,
      digest: this.#blobDigester.digest(),
      size: this.#size,
      estargz: { tocDigest: digestOf(toc), tarDigest },
    };
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #entry(entry: TarEntry): void {
    if (cleanName(entry) === tocName) throw impossible(`has a file ${tocName}, which is that of the format`);
    if (entry.type === 'file' && entry.size > 0) this.#begun = entry;
    else {
      const { size: _, ...described } = tocEntryOf(entry);
      this.#toc.push(entry.type === 'file' ? { ...described, digest: digestOf('') } : described);
    }
  }

  /** Headers, what belongs to them, and the zeros between entries: block by block, so that it is seen where data begins. */
  #takeHeader(part: Uint8Array): void {
    if (!this.#parser.isAtEnd) this.#parser.write(part);
    this.#inBlock = (this.#inBlock + part.length) % blockSize;
    this.#add(part);
    if (this.#filled >= memberSize) this.#endMember();
    const entry = this.#begun;
    if (!entry) return;
    this.#begun = undefined;
    this.#endMember();
    this.#data = { entry: tocEntryOf(entry), digester: new Digester(), read: 0, left: entry.size };
  }

  #takeData(part: Uint8Array, data: FileData): void {
    this.#parser.write(part);
    data.digester.update(part);
    data.left -= part.length;
    this.#add(part);
    if (this.#filled < chunkSize && data.left > 0) return;
    const chunk = this.#member.subarray(0, this.#filled);
    const position = {
      offset: this.#size,
      chunkOffset: data.read || undefined,
      chunkSize: chunk.length === chunkSize ? chunkSize : undefined,
      chunkDigest: digestOf(chunk),
    };
    const first = data.read === 0;
    const { entry } = data;
    this.#toc.push(first ? Object.assign(entry, position) : { name: entry.name, type: 'chunk', ...position });
    data.read += chunk.length;
    this.#endMember();
    if (data.left > 0) return;
    entry.digest = data.digester.digest();
    this.#data = undefined;
    // What fills the last block of the file belongs to that block.
    this.#inBlock = data.read % blockSize;
  }

  #add(part: Uint8Array): void {
    this.#member.set(part, this.#filled);
    this.#filled += part.length;
  }

  #endMember(): void {
    if (this.#filled === 0) return;
    this.#throwIfAborted();
    this.#put(gzipSync(this.#member.subarray(0, this.#filled), { level: this.#level }));
    this.#filled = 0;
  }

  #put(bytes: Uint8Array): void {
    this.#blobDigester.update(bytes);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    this.#size += bytes.length;
  }
}

/** A file in the middle of its data. */
interface FileData {
  readonly entry: TocEntry;
  readonly digester: Digester;
  /** Bytes in chunks that are written. */
  read: number;
  /** Bytes that are to come. */
  left: number;
}

function cleanName({ name }: TarEntry): string {
  return fromByteString(name)
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

/** An empty gzip member of 51 bytes with the offset of the TOC's member in its extra field. */
function footer(tocAt: number): Uint8Array {
  const subfield = Buffer.from(`${tocAt.toString(16).padStart(16, '0')}STARGZ`);
  const header = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, subfield.length + 4, 0]);
  const id = Buffer.from([0x53, 0x47, subfield.length, 0]);
  const empty = Buffer.from([1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, id, subfield, empty]);
}

function impossible(why: string): KilnError {
  return new KilnError('failed_precondition', `a layer cannot be written as estargz: it ${why}`, {
    hint: 'choose another compression for this image',
  });
}
