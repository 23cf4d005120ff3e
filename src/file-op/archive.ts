import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { errnoOf, KilnError } from '../base/errors.ts';
import { type ByteString, fromByteString, toSystemPath } from '../layer/byte-path.ts';
import { isWhiteoutEntry, LayerExtractor } from '../layer/layer-extractor.ts';
import { readLayerTar } from '../layer/layer-stream.ts';
import type { TarEntry } from '../layer/tar-entry.ts';
import { type TarHandler, TarParser } from '../layer/tar-parser.ts';
import type { OwnerNumbers } from './resolve-owner.ts';

const blockSize = 512;

/** Compressions that Node lacks, by their first bytes, and the program that knows them. */
const programs = [
  { magic: Buffer.from('BZh'), program: 'bzip2', installedBy: 'apt-get install bzip2' },
  {
    magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]),
    program: 'xz',
    installedBy: 'apt-get install xz-utils',
  },
];

/** Whether the regular file at `file` holds a tar archive, plain or compressed by gzip, bzip2, xz or zstd. */
export async function isArchive(file: ByteString): Promise<boolean> {
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of readTar(file)) {
      head = Buffer.concat([head, chunk]);
      if (head.length >= blockSize) break;
    }
    if (head.length < blockSize || head.every((byte, index) => index >= blockSize || byte === 0))
      return false;
    new TarParser({ entry() {}, data() {}, entryEnd() {} }).write(head.subarray(0, blockSize));
    return true;
  } catch (error) {
    // Damaged, or something else altogether. A missing program is not the file's fault.
    if (error instanceof KilnError && error.code === 'failed_precondition') throw error;
    return false;
  }
}

/**
 * Unpacks an archive into the directory `dir`. Entries keep what the archive says of them, but for the owner if one
 * is given. Names and links in it cannot lead out of `dir`.
 */
export async function unpackArchive(
  file: ByteString,
  dir: ByteString,
  owner: OwnerNumbers | undefined,
  throwIfAborted: () => void,
): Promise<void> {
  using extractor = new LayerExtractor(dir, 'tree');
  const parser = new TarParser(new ArchiveEntries(extractor, owner));
  for await (const chunk of readTar(file)) {
    throwIfAborted();
    parser.write(chunk);
  }
  parser.finish();
  extractor.finish();
}

/** What is unpacked here are files; a device that means a deletion in a layer can be none of them. */
class ArchiveEntries implements TarHandler {
  readonly #handler: TarHandler;
  readonly #owner: OwnerNumbers | undefined;

  constructor(handler: TarHandler, owner: OwnerNumbers | undefined) {
    this.#handler = handler;
    this.#owner = owner;
  }

  entry(entry: TarEntry): void {
    if (isWhiteoutEntry(entry)) {
      throw new KilnError(
        'invalid_argument',
        `archive entry ${JSON.stringify(fromByteString(entry.name))} is a character device 0/0, which no image can hold`,
        { hint: 'make the archive without it' },
      );
    }
    this.#handler.entry({ ...entry, ...this.#owner });
  }

  data(chunk: Uint8Array): void {
    this.#handler.data(chunk);
  }

  entryEnd(): void {
    this.#handler.entryEnd();
  }
}

function readTar(file: ByteString): AsyncIterable<Uint8Array> {
  const fd = openSync(toSystemPath(file), 'r');
  try {
    const head = Buffer.alloc(8);
    readSync(fd, head, 0, head.length, 0);
    const other = programs.find(({ magic }) => head.subarray(0, magic.length).equals(magic));
    // A path that names the same file in ASCII only, whatever its own name is.
    if (!other) return holding(`/proc/self/fd/${fd}`, fd);
    return decompressBy(other, fd, file);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

async function* holding(path: string, fd: number): AsyncGenerator<Uint8Array> {
  try {
    yield* readLayerTar(path);
  } finally {
    closeSync(fd);
  }
}

async function* decompressBy(
  { program, installedBy }: (typeof programs)[number],
  fd: number,
  file: ByteString,
): AsyncGenerator<Uint8Array> {
  let child: ChildProcess | undefined;
  try {
    child = spawn(program, ['-dc'], { stdio: [fd, 'pipe', 'ignore'] });
    const ended = new Promise<number | null>((resolve, reject) => {
      child!.once('error', reject);
      child!.once('close', resolve);
    });
    // The reader meets the failure below; it may come before that.
    ended.catch(() => {});
    yield* child.stdout!;
    const code = await ended;
    if (code !== 0) {
      throw new KilnError(
        'data_loss',
        `${fromByteString(file)} cannot be decompressed: ${program} ended with ${code}`,
      );
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new KilnError(
      'failed_precondition',
      `cannot unpack ${fromByteString(file)}: ${program} is not installed`,
      {
        cause: error,
        hint: installedBy,
      },
    );
  } finally {
    child?.kill();
    closeSync(fd);
  }
}
