import type { Digest } from '../base/digest.ts';
import type { Task } from '../base/threads/task.ts';
import type { MountIndex, StoredMount } from './mount-index.ts';
import { parseMountIndex } from './parse-mount-index.ts';

/** A mount that a place has. */
export interface ListedMount {
  readonly id: string;
  readonly takenAt: number;
  /** Bytes of its files. */
  readonly size: number;
  readonly packs: readonly { readonly digest: Digest; readonly size: number }[];
}

/** What an index, as it is stored, has. Throws `data_loss`. */
const readIndex: Task<Uint8Array, readonly ListedMount[]> = (stored) => {
  const index = parseMountIndex(stored);
  return index.mounts.map((mount) => listed(index, mount));
};

function listed({ packs }: MountIndex, { id, takenAt, entries }: StoredMount): ListedMount {
  const places = packs.flatMap((pack) => pack.chunks.map(({ length }) => ({ pack, length })));
  const used = new Set<(typeof packs)[number]>();
  let size = 0;
  for (const entry of entries) {
    if (entry.kind !== 'file') continue;
    for (const position of entry.chunks) {
      const { pack, length } = places[position]!;
      used.add(pack);
      size += length;
    }
  }
  return {
    id,
    takenAt,
    size,
    packs: packs.filter((pack) => used.has(pack)).map(({ digest, size }) => ({ digest, size })),
  };
}

export default readIndex;
