import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  openSync,
  write,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import type { ByteString } from '../base/text/byte-string.ts';
import { utimens } from '../linux/utimens.ts';
import { takeStream } from './take-stream.ts';
import type { EntryMetadata, GrowingFile } from './tree-maker.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
const createFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
/** Nobody but its owner may open a file before it is finished. */
export const ownFile = 0o600;
const writeAsync = promisify(write);

export interface GrowthObserver {
  setXattrs(xattrs: ReadonlyMap<string, ByteString>): void;
  /** Called once, when the file is closed. */
  ended(whole: boolean): void;
}

/** A file that grows in a directory of this machine. */
export class GrowingDirectoryFile implements GrowingFile {
  readonly #path: string | Buffer;
  readonly #metadata: EntryMetadata;
  readonly #observer: GrowthObserver;
  readonly #descriptor: number;
  /** Where the next bytes go. */
  #position = 0;
  /** Whether the bytes before the position are a hole that nothing follows yet: the file itself ends before it. */
  #endsInHole = false;

  constructor(path: string | Buffer, metadata: EntryMetadata, observer: GrowthObserver) {
    this.#path = path;
    this.#metadata = metadata;
    this.#observer = observer;
    this.#descriptor = openSync(path, createFlags, ownFile);
  }

  write(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const written = writeSync(this.#descriptor, chunk, at, chunk.length - at, this.#position);
      at += written;
      this.#position += written;
    }
    if (chunk.length > 0) this.#endsInHole = false;
  }

  hole(size: number): void {
    this.#position += size;
    this.#endsInHole = true;
  }

  async writeAll(source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    await takeStream(source, signal, (bytes) => this.#append(bytes));
  }

  finish(): void {
    const { owner, mode, times, xattrs } = this.#metadata;
    let whole = false;
    try {
      try {
        if (this.#endsInHole) ftruncateSync(this.#descriptor, this.#position);
        if (owner) fchownSync(this.#descriptor, owner.uid, owner.gid);
        if (xattrs) this.#observer.setXattrs(xattrs);
        fchmodSync(this.#descriptor, mode);
      } finally {
        closeSync(this.#descriptor);
      }
      if (times) utimens(this.#path, times.access, times.modification);
      whole = true;
    } finally {
      this.#observer.ended(whole);
    }
  }

  async #append(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      const { bytesWritten } = await writeAsync(this.#descriptor, rest, 0, rest.length, this.#position);
      this.#position += bytesWritten;
      rest = rest.subarray(bytesWritten);
    }
    if (bytes.length > 0) this.#endsInHole = false;
  }

  /** Closes what is incomplete. */
  giveUp(): void {
    closeSync(this.#descriptor);
    this.#observer.ended(false);
  }
}
