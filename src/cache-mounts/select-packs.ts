import type { Chunk, MountIndex, Pack, StoredEntry } from './mount-index.ts';

/** Chunks of fewer bytes than this make a small pack; more small packs than this are put together anew. */
const smallPack = 1024 * 1024;
const mostSmallPacks = 32;

/** The index with those of its packs that `keeps` accepts, which must have all chunks that its files have. */
export function selectPacks(index: MountIndex, keeps: (pack: Pack) => boolean): MountIndex {
  const moved: number[] = [];
  let count = 0;
  for (const pack of index.packs) {
    const kept = keeps(pack);
    for (const _ of pack.chunks) moved.push(kept ? count++ : -1);
  }
  const moveEntry = (entry: StoredEntry): StoredEntry =>
    entry.kind === 'file' ? { ...entry, chunks: entry.chunks.map((position) => moved[position]!) } : entry;
  return {
    packs: index.packs.filter(keeps),
    mounts: index.mounts.map((mount) => ({ ...mount, entries: mount.entries.map(moveEntry) })),
  };
}

/** The packs of which no file has a chunk. */
export function unusedPacks(index: MountIndex): ReadonlySet<Pack> {
  const used = usedChunks(index, () => true);
  return new Set(index.packs.filter(({ chunks }) => !chunks.some((chunk) => used.has(chunk))));
}

/**
 * Packs that should be made anew, since less than half of each is used, or since there are many small ones. Not those with chunks of the mounts
 * `elsewhere`, whose data is not on this machine.
 */
export function wastefulPacks(index: MountIndex, elsewhere: ReadonlySet<string>): ReadonlySet<Pack> {
  const used = usedChunks(index, () => true);
  const missing = usedChunks(index, (id) => elsewhere.has(id));
  const candidates = index.packs.filter(({ chunks }) => !chunks.some((chunk) => missing.has(chunk)));
  const half = candidates.filter(({ chunks }) => {
    const live = bytesOf(chunks.filter((chunk) => used.has(chunk)));
    return live > 0 && live < bytesOf(chunks) / 2;
  });
  const small = candidates.filter(({ chunks }) => bytesOf(chunks) < smallPack);
  return new Set([...half, ...(small.length > mostSmallPacks ? small : [])]);
}

function usedChunks({ packs, mounts }: MountIndex, counts: (id: string) => boolean): ReadonlySet<Chunk> {
  const all = packs.flatMap(({ chunks }) => chunks);
  const used = new Set<Chunk>();
  for (const { id, entries } of mounts) {
    if (!counts(id)) continue;
    for (const entry of entries) {
      if (entry.kind === 'file') for (const position of entry.chunks) used.add(all[position]!);
    }
  }
  return used;
}

function bytesOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}
