import { createHash } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Digest } from '../base/digest.ts';
import type { Task } from '../base/threads/task.ts';
import { encodeMountIndex } from './encode-mount-index.ts';
import type { MountIndex, StoredMount } from './mount-index.ts';
import { MountReader } from './mount-reader.ts';
import { PackWriter, type WrittenPack } from './pack-writer.ts';
import { parseMountIndex } from './parse-mount-index.ts';
import { selectPacks, unusedPacks, wastefulPacks } from './select-packs.ts';

export interface PackMountsInput {
  readonly mounts: readonly MountToPack[];
  /** What the place has: the index as it is stored. */
  readonly before: Uint8Array | undefined;
  /** For the files of new packs and of the index. */
  readonly directory: string;
}

export interface MountToPack {
  readonly id: string;
  readonly takenAt: number;
  /** The directory on this machine. */
  readonly path: string;
}

export interface PackedMounts {
  readonly index: WrittenPack;
  /** New packs that the index names. */
  readonly written: readonly WrittenPack[];
  /** Packs that the index names and that the place has. */
  readonly kept: readonly { readonly digest: Digest; readonly size: number }[];
}

/**
 * Reads cache mounts, and makes packs of what the place does not have, and a new index. Mounts of which the place has this state or a later one, and mounts
 * that are not among these, stay as the place has them.
 */
const packMounts: Task<PackMountsInput, PackedMounts> = ({ mounts, before, directory }, context) => {
  const known: MountIndex = before ? parseMountIndex(before) : { packs: [], mounts: [] };
  const taken = new Map(known.mounts.map(({ id, takenAt }) => [id, takenAt]));
  const changed = mounts.filter(({ id, takenAt }) => takenAt > (taken.get(id) ?? -1));
  const replaced = new Set(changed.map(({ id }) => id));
  const staying = { ...known, mounts: known.mounts.filter(({ id }) => !replaced.has(id)) };

  const pack = ({
    packs,
    mounts: others,
  }: MountIndex): { index: MountIndex; written: readonly WrittenPack[] } => {
    const writer = new PackWriter(directory, packs);
    const packed: StoredMount[] = changed.map(({ id, takenAt, path: mount }) => {
      const reader = new MountReader(
        (read) => writer.store(read),
        () => context.throwIfAborted(),
      );
      return { id, takenAt, entries: reader.read(mount) };
    });
    return { index: { packs: writer.finish(), mounts: [...others, ...packed] }, written: writer.written };
  };

  let result = pack(staying);
  const wasteful = wastefulPacks(result.index, new Set(staying.mounts.map(({ id }) => id)));
  const old = new Set(staying.packs);
  if ([...wasteful].some((each) => old.has(each))) {
    for (const { file } of result.written) rmSync(file, { force: true });
    result = pack(selectPacks(staying, (each) => !wasteful.has(each)));
  }
  const unused = unusedPacks(result.index);
  const index = selectPacks(result.index, (each) => !unused.has(each));
  const written = new Set(result.written.map(({ digest }) => digest));
  return {
    index: writeIndex(encodeMountIndex(index), directory),
    written: result.written,
    kept: index.packs
      .filter(({ digest }) => !written.has(digest))
      .map(({ digest, size }) => ({ digest, size })),
  };
};

function writeIndex(bytes: Buffer, directory: string): WrittenPack {
  const hex = createHash('sha256').update(bytes).digest('hex');
  const file = path.join(directory, `index-${hex}`);
  writeFileSync(file, bytes, { mode: 0o600 });
  return { digest: `sha256:${hex}` as Digest, size: bytes.length, file };
}

export default packMounts;
