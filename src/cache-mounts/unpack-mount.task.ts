import { hash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { zstdDecompressSync } from 'node:zlib';
import { KilnError } from '../base/errors.ts';
import { toByteString } from '../base/text/byte-string.ts';
import type { Task } from '../base/threads/task.ts';
import { DirectoryTreeMaker } from '../tree/directory-tree-maker.ts';
import type { EntryMetadata, TreeMaker } from '../tree/tree-maker.ts';
import { type MountIndex, maxPackLength, type StoredEntry } from './mount-index.ts';
import { parseMountIndex } from './parse-mount-index.ts';

export interface UnpackMountInput {
  /** The index as it is stored. */
  readonly index: Uint8Array;
  readonly id: string;
  /** The files of the packs that have chunks of the mount, by digest. */
  readonly packs: ReadonlyMap<string, string>;
  /** An empty directory, which becomes the mount. */
  readonly directory: string;
  /** A file for the data of the packs, which is removed in the end. */
  readonly scratch: string;
}

/** Where a chunk is in the scratch file. */
interface Place {
  readonly start: number;
  readonly length: number;
}

/** Makes the files of a cache mount. Throws `data_loss` when packs are not what the index says. */
const unpackMount: Task<UnpackMountInput, void> = (input, context) => {
  const index = parseMountIndex(input.index);
  const scratch = openSync(input.scratch, 'wx+', 0o600);
  try {
    const places = writeChunks(index, input.packs, scratch, () => context.throwIfAborted());
    using maker = new DirectoryTreeMaker(toByteString(input.directory));
    const entries = index.mounts.find(({ id }) => id === input.id)!.entries;
    for (const entry of entries) {
      context.throwIfAborted();
      makeEntry(maker, entry, places, scratch);
    }
    // Times of directories change when something is made in them.
    for (const entry of entries) {
      if (entry.kind === 'directory') maker.setMetadata(entry.path, metadataOf(entry));
    }
    maker.finish();
  } finally {
    closeSync(scratch);
    rmSync(input.scratch);
  }
};

/** Writes the data of all packs one after the other, so that each is decompressed once. */
function writeChunks(
  { packs }: MountIndex,
  files: ReadonlyMap<string, string>,
  scratch: number,
  throwIfAborted: () => void,
): readonly (Place | undefined)[] {
  const places: (Place | undefined)[] = [];
  let start = 0;
  for (const { digest, chunks } of packs) {
    throwIfAborted();
    const file = files.get(digest);
    if (file === undefined) {
      for (const _ of chunks) places.push(undefined);
      continue;
    }
    const data = decompressed(readFileSync(file), digest);
    let at = 0;
    for (const { hash: expected, length } of chunks) {
      const chunk = data.subarray(at, at + length);
      if (chunk.length < length || hash('sha256', chunk, 'hex') !== expected) throw damaged(digest);
      places.push({ start: start + at, length });
      at += length;
    }
    if (at !== data.length) throw damaged(digest);
    writeFileSync(scratch, data);
    start += data.length;
  }
  return places;
}

function makeEntry(
  maker: TreeMaker,
  entry: StoredEntry,
  places: readonly (Place | undefined)[],
  scratch: number,
): void {
  switch (entry.kind) {
    case 'directory':
      if (entry.path !== '') maker.add(entry.path, { kind: 'directory', metadata: metadataOf(entry) });
      return;
    case 'symlink': {
      const { owner, times } = metadataOf({ ...entry, mode: 0 });
      maker.add(entry.path, { kind: 'symlink', target: entry.target, metadata: { owner, times } });
      return;
    }
    case 'hard-link':
      maker.add(entry.path, { kind: 'hard-link', target: entry.target });
      return;
    case 'file': {
      const file = maker.addFile(entry.path, metadataOf(entry));
      for (const position of entry.chunks) {
        const place = places[position];
        if (!place) throw new KilnError('data_loss', 'a chunk of a cache mount is in none of its packs');
        const data = Buffer.allocUnsafe(place.length);
        readSync(scratch, data, 0, place.length, place.start);
        file.write(data);
      }
      file.finish();
      return;
    }
    default:
      entry satisfies never;
  }
}

function metadataOf({
  uid,
  gid,
  mode,
  time,
}: {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly time: bigint;
}): EntryMetadata {
  return { owner: { uid, gid }, mode, times: { access: time, modification: time } };
}

function decompressed(data: Buffer, digest: string): Buffer {
  try {
    return zstdDecompressSync(data, { maxOutputLength: maxPackLength });
  } catch {
    throw damaged(digest);
  }
}

function damaged(digest: string): KilnError {
  return new KilnError('data_loss', `pack ${digest} of cache mounts is not what its index says`, {
    hint: 'export the cache mounts again',
  });
}

export default unpackMount;
