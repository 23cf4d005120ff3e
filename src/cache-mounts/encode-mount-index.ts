import { zstdCompressSync } from 'node:zlib';
import type { MountIndex, StoredEntry } from './mount-index.ts';

/** The index as it is stored: JSON, compressed with zstd. See `parse-mount-index.ts`. */
export function encodeMountIndex({ packs, mounts }: MountIndex): Buffer {
  const document = {
    version: 1,
    packs: packs.map(({ digest, size, chunks }) => ({
      digest,
      size,
      hashes: chunks.map(({ hash }) => hash).join(''),
      lengths: chunks.map(({ length }) => length),
    })),
    mounts: mounts.map(({ id, takenAt, entries }) => ({ id, takenAt, entries: entries.map(encodeEntry) })),
  };
  return zstdCompressSync(JSON.stringify(document));
}

function encodeEntry(entry: StoredEntry): readonly unknown[] {
  if (entry.kind === 'hard-link') return ['h', entry.path, entry.target];
  const owned = [entry.path, entry.uid, entry.gid, String(entry.time)];
  switch (entry.kind) {
    case 'directory':
      return ['d', ...owned, entry.mode];
    case 'file':
      return ['f', ...owned, entry.mode, entry.chunks];
    case 'symlink':
      return ['l', ...owned, entry.target];
    default:
      return entry satisfies never;
  }
}
