import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { errnoOf, KilnError } from '../base/errors.ts';
import { type ByteString, fromByteString, toSystemPath } from '../base/text/byte-string.ts';
import { readLayerTar } from '../layer-blob/compression/layer-stream.ts';
import type { TarEntry } from '../layer-blob/tar/tar-entry.ts';
import type { TarHandler } from '../layer-blob/tar/tar-handler.ts';
import { TarParser } from '../layer-blob/tar/tar-parser.ts';
import { LayerExtractor } from '../layer-blob/unpack/layer-extractor.ts';
import { isWhiteoutEntry } from '../layer-blob/whiteout-format.ts';
import type { TreeMaker } from '../tree/tree-maker.ts';
import type { OwnerNumbers } from './resolve-owner.ts';

interface Decompressor {
  readonly magic: Buffer;
  readonly program: string;
  readonly installedBy: string;
  /** The flag that makes it ignore what follows the first stream. Programs without one ignore anything that is not a stream. */
  readonly firstOnly?: string;
}

/** Compressions that Node lacks, by their first bytes, and the program that knows them. */
const programs: readonly Decompressor[] = [
  { magic: Buffer.from('BZh'), program: 'bzip2', installedBy: 'apt-get install bzip2' },
  {
    magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]),
    program: 'xz',
    installedBy: 'apt-get install xz-utils',
    firstOnly: '--single-stream',
  },
];

/**
 * Whether the regular file at `file` holds a tar archive, plain or compressed by gzip, bzip2, xz or zstd. An
 * archive without entries does not count as one, as with BuildKit.
 */
export async function isArchive(file: ByteString): Promise<boolean> {
  const parser = new TarParser({ entry() {}, data() {}, hole() {}, entryEnd() {} });
  try {
    for await (const chunk of readTar(file, () => false)) {
      parser.write(chunk);
      if (parser.hasMember || parser.isAtEnd) break;
    }
  } catch (error) {
    // Damaged, or something else altogether. A missing program is not the file's fault.
    if (error instanceof KilnError && error.code === 'failed_precondition') throw error;
  }
  return parser.hasMember;
}

/**
 * Unpacks an archive into the directory `directory` of a tree. Entries keep what the archive says of them, but for the owner if one
 * is given. Names and links in it cannot lead out of the directory.
 */
export async function unpackArchive(
  file: ByteString,
  tree: TreeMaker,
  directory: ByteString,
  owner: OwnerNumbers | undefined,
  throwIfAborted: () => void,
): Promise<void> {
  const extractor = new LayerExtractor({ form: 'archive', tree, directory });
  const parser = new TarParser(new ArchiveEntries(extractor, owner));
  for await (const chunk of readTar(file, () => parser.isAtEnd)) {
    throwIfAborted();
    parser.write(chunk);
  }
  parser.finish();
  extractor.finish();
}

/** Refuses the device that means a deletion in a layer: an archive has files only. */
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

  hole(size: number): void {
    this.#handler.hole(size);
  }

  entryEnd(): void {
    this.#handler.entryEnd();
  }
}

/** `isWhole` says whether the archive has ended, so that what follows does not matter. */
function readTar(file: ByteString, isWhole: () => boolean): AsyncIterable<Uint8Array> {
  const fd = openSync(toSystemPath(file), 'r');
  try {
    const head = Buffer.alloc(8);
    readSync(fd, head, 0, head.length, 0);
    const other = programs.find(({ magic }) => head.subarray(0, magic.length).equals(magic));
    return other ? decompressBy(other, fd, file, isWhole) : readHeld(fd, file);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

async function* readHeld(fd: number, file: ByteString): AsyncGenerator<Uint8Array> {
  try {
    // A path that names the same file in ASCII only, whatever its own name is.
    yield* readLayerTar(`/proc/self/fd/${fd}`, fromByteString(file));
  } finally {
    closeSync(fd);
  }
}

async function* decompressBy(
  { program, installedBy, firstOnly }: Decompressor,
  fd: number,
  file: ByteString,
  isWhole: () => boolean,
): AsyncGenerator<Uint8Array> {
  let child: ChildProcess | undefined;
  try {
    child = spawn(program, ['-dc'], { stdio: [fd, 'pipe', 'ignore'] });
    const ended = endOf(child);
    // The reader meets the failure below; it may come before that.
    ended.catch(() => {});
    yield* child.stdout!;
    const code = await ended;
    if (code === 0 || (firstOnly && isWhole() && (await isStream(program, firstOnly, file)))) return;
    throw new KilnError(
      'data_loss',
      `${fromByteString(file)} cannot be decompressed: ${program} ended with ${code}`,
    );
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

/** Whether the file begins with data that is not damaged, whatever follows. */
async function isStream(program: string, firstOnly: string, file: ByteString): Promise<boolean> {
  const fd = openSync(toSystemPath(file), 'r');
  try {
    return (await endOf(spawn(program, ['-t', firstOnly], { stdio: [fd, 'ignore', 'ignore'] }))) === 0;
  } finally {
    closeSync(fd);
  }
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
}
