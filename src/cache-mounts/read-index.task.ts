import type { Digest } from '../base/digest.ts';
import type { Task } from '../base/threads/task.ts';
import type { Pack, StoredMount } from './mount-index.ts';
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
export function listMounts(stored: Uint8Array): readonly ListedMount[] {
  const { packs, mounts } = parseMountIndex(stored);
  const places = packs.flatMap((pack) => pack.chunks.map(({ length }) => ({ pack, length })));
  return mounts.map((mount) => listed(mount, places));
}

const readIndex: Task<Uint8Array, readonly ListedMount[]> = (stored) => listMounts(stored);

/** `places`: where each chunk of the index is. */
function listed(
  { id, takenAt, entries }: StoredMount,
  places: readonly { readonly pack: Pack; readonly length: number }[],
): ListedMount {
  const packs = new Set<Pack>();
  let size = 0;
  for (const entry of entries) {
    if (entry.kind !== 'file') continue;
    for (const position of entry.chunks) {
      const { pack, length } = places[position]!;
      packs.add(pack);
      size += length;
    }
  }
  return { id, takenAt, size, packs: [...packs].map(({ digest, size }) => ({ digest, size })) };
}

export default readIndex;
