import { type BigIntStats, readSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import { type ByteString, toByteString } from '../../base/text/byte-string.ts';
import type { Task, TaskContext } from '../../base/threads/task.ts';
import { type AddedFile, AddedFiles, addedFileMode } from '../../file-sync/added-files.ts';
import type { OutputTree } from '../../file-sync/client-output.ts';
import { type ChangedFile, visitLayerChanges } from '../../layer-blob/layer-changes.ts';
import { LayerTarWriter, type TarSink, wholeSeconds } from '../../layer-blob/layer-tar.ts';
import { TarWriter } from '../../layer-blob/tar/tar-writer.ts';
import { readContentXattrs } from '../../tree/layer-xattrs.ts';

export interface TreeTarInput {
  readonly trees: readonly OutputTree[];
  /** One number in shared memory: how many more chunks the reader will take. The thread waits while it is zero. */
  readonly credit: Int32Array;
}

const chunkSize = 512 * 1024;
const nanosecondsPerSecond = 1_000_000_000n;
/** Milliseconds between two checks whether the work was aborted. */
const patience = 50;

/** Writes trees as one tar archive, chunk by chunk, no faster than they are taken. */
const treeTar: Task<TreeTarInput, void, Uint8Array> = ({ trees, credit }, context) => {
  const sink = new ChunkSink(credit, context);
  for (const tree of trees) {
    if (tree.prefix !== '') writePrefix(sink, tree);
    const added = new AddedFiles(tree.added ?? []);
    if (tree.path !== undefined) {
      // A writer for each tree: files of different trees may share inode numbers without being the same.
      const tar = new LayerTarWriter(sink, { readXattrs: readContentXattrs });
      visitLayerChanges({ kind: 'trees', upper: tree.path }, (change, parents) => {
        context.throwIfAborted();
        if (change.kind === 'deleted') return;
        for (const file of added.before(change.path)) writeAdded(sink, file, tree);
        if (added.hides(change.path, change.stats.isDirectory())) return;
        tar.change(
          { ...change, ...placed(change, tree) },
          parents.map((parent) => ({ ...parent, ...placed(parent, tree) })),
        );
      });
    }
    for (const file of added.rest()) writeAdded(sink, file, tree);
  }
  new TarWriter((chunk) => sink.write(chunk)).end();
  sink.flush();
};

export default treeTar;

function writePrefix(sink: TarSink, { prefix, epoch }: OutputTree): void {
  new TarWriter((chunk) => sink.write(chunk)).header({
    name: `${prefix}/`,
    type: 'directory',
    mode: 0o755,
    size: 0,
    mtime: BigInt(epoch ?? 0) * nanosecondsPerSecond,
    ...ownedByRoot,
  });
}

function writeAdded(sink: TarSink, { name, data, mtime }: AddedFile, tree: OutputTree): void {
  const tar = new TarWriter((chunk) => sink.write(chunk));
  const path = pathIn(tree, toByteString(name));
  tar.header({ name: path, type: 'file', mode: addedFileMode, size: data.length, mtime, ...ownedByRoot });
  sink.write(data);
  tar.pad(data.length);
}

/** What is not of a tree has no owner there. */
const ownedByRoot = { uid: 0, gid: 0, linkName: '', deviceMajor: 0, deviceMinor: 0 } as const;

function placed(file: ChangedFile, tree: OutputTree): Pick<ChangedFile, 'path' | 'stats'> {
  return { path: pathIn(tree, file.path), stats: withTime(file.stats, tree.epoch) };
}

function pathIn({ prefix }: OutputTree, path: ByteString): ByteString {
  return prefix === '' ? path : `${prefix}/${path}`;
}

/** The epoch, or the file's own time to the nearest second, which is the later one for a time between two. */
function withTime(stats: BigIntStats, epoch: number | undefined): BigIntStats {
  const mtimeNs =
    epoch === undefined
      ? wholeSeconds(stats.mtimeNs + nanosecondsPerSecond / 2n)
      : BigInt(epoch) * nanosecondsPerSecond;
  return Object.assign(Object.create(Object.getPrototypeOf(stats)), stats, { mtimeNs });
}

/** Gathers small writes into chunks and hands them to the reader while there is credit. */
class ChunkSink implements TarSink {
  readonly #credit: Int32Array;
  readonly #context: TaskContext<Uint8Array>;
  #chunk = new Uint8Array(chunkSize);
  #used = 0;

  constructor(credit: Int32Array, context: TaskContext<Uint8Array>) {
    this.#credit = credit;
    this.#context = context;
  }

  write(bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length; ) {
      const part = bytes.subarray(start, start + chunkSize - this.#used);
      this.#chunk.set(part, this.#used);
      start += part.length;
      this.#advance(part.length);
    }
  }

  copyFrom(file: number, size: number, name: string): void {
    for (let left = size; left > 0; ) {
      const read = readSync(file, this.#chunk, this.#used, Math.min(left, chunkSize - this.#used), null);
      if (read === 0) {
        throw new KilnError('aborted', `${name} became shorter while it was read`);
      }
      left -= read;
      this.#advance(read);
    }
  }

  flush(): void {
    if (this.#used === 0) return;
    while (Atomics.load(this.#credit, 0) <= 0) {
      this.#context.throwIfAborted();
      Atomics.wait(this.#credit, 0, 0, patience);
    }
    Atomics.sub(this.#credit, 0, 1);
    this.#context.emit(this.#chunk.subarray(0, this.#used), [this.#chunk.buffer]);
    this.#chunk = new Uint8Array(chunkSize);
    this.#used = 0;
  }

  #advance(count: number): void {
    this.#used += count;
    if (this.#used === chunkSize) this.flush();
  }
}
