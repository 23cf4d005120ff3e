import { zstdDecompressSync } from 'node:zlib';
import { isDigest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { ByteString } from '../base/text/byte-string.ts';
import { parentOf } from '../tree/tree.ts';
import {
  type Chunk,
  type MountIndex,
  maxIndex,
  maxMountSize,
  maxPackLength,
  maxStoredIndex,
  type Pack,
  type StoredEntry,
  type StoredMount,
} from './mount-index.ts';

/**
 * Reads an index. Every entry lies in a directory that is an entry before it, no two have one path, and no path leads out of the mount or through a
 * link. Throws `data_loss` for anything else.
 */
export function parseMountIndex(stored: Uint8Array): MountIndex {
  if (stored.length > maxStoredIndex) throw damaged('too large');
  const document = record(parseJson(stored));
  if (document.version !== 1) throw damaged('of another version');
  const packs = list(document.packs).map(parsePack);
  // Each would be unpacked again.
  if (new Set(packs.map(({ digest }) => digest)).size < packs.length) throw damaged('a pack is there twice');
  const lengths = packs.flatMap(({ chunks }) => chunks.map(({ length }) => length));
  const mounts = list(document.mounts).map((mount) => parseMount(mount, lengths));
  if (new Set(mounts.map(({ id }) => id)).size < mounts.length) throw damaged('a mount is there twice');
  return { packs, mounts };
}

function parseJson(stored: Uint8Array): unknown {
  try {
    return JSON.parse(zstdDecompressSync(stored, { maxOutputLength: maxIndex }).toString('utf8'));
  } catch (error) {
    throw damaged((error as Error).message);
  }
}

function parsePack(value: unknown): Pack {
  const { digest, size, hashes, lengths } = record(value);
  if (typeof digest !== 'string' || !isDigest(digest)) throw damaged('a digest is none');
  const all = list(lengths).map((length) => whole(length, 1, maxPackLength));
  if (typeof hashes !== 'string' || hashes.length !== all.length * 64 || !/^[0-9a-f]*$/.test(hashes)) {
    throw damaged('hashes are none');
  }
  if (all.reduce((sum, length) => sum + length, 0) > maxPackLength) throw damaged('a pack is too large');
  const chunks: Chunk[] = all.map((length, at) => ({ hash: hashes.slice(at * 64, at * 64 + 64), length }));
  return { digest, size: whole(size, 1, 2 * maxPackLength), chunks };
}

function parseMount(value: unknown, lengths: readonly number[]): StoredMount {
  const { id, takenAt, entries } = record(value);
  if (typeof id !== 'string' || id === '' || id.length > 4096) throw damaged('a mount has no id');
  const kinds = new Map<ByteString, StoredEntry['kind']>();
  let size = 0;
  const parsed = list(entries).map((entry) => {
    const stored = parseEntry(list(entry), lengths.length);
    checkPlace(stored, kinds);
    kinds.set(stored.path, stored.kind);
    if (stored.kind === 'file') for (const position of stored.chunks) size += lengths[position]!;
    if (size > maxMountSize) throw damaged('a mount is too large');
    return stored;
  });
  return { id, takenAt: whole(takenAt, 0, 8.64e15), entries: parsed };
}

function checkPlace(entry: StoredEntry, kinds: ReadonlyMap<ByteString, StoredEntry['kind']>): void {
  const { path } = entry;
  if (path.split('/').some((name) => name === '' || name === '.' || name === '..' || name.length > 255)) {
    if (path !== '' || entry.kind !== 'directory') throw damaged('a path is none');
  }
  if (kinds.has(path)) throw damaged('a path is there twice');
  if (path !== '' && kinds.get(parentOf(path)) !== 'directory') throw damaged('a file is in no directory');
  if (entry.kind === 'hard-link' && kinds.get(entry.target) !== 'file') throw damaged('a link names no file');
}

function parseEntry([kind, path, ...rest]: readonly unknown[], chunkCount: number): StoredEntry {
  if (kind === 'h') return { kind: 'hard-link', path: byteString(path), target: byteString(rest[0]) };
  const [uid, gid, time, third, chunks] = rest;
  if (typeof time !== 'string' || !/^-?\d{1,19}$/.test(time)) throw damaged('a time is none');
  const owned = {
    path: byteString(path),
    uid: whole(uid, 0, 0xffff_fffe),
    gid: whole(gid, 0, 0xffff_fffe),
    time: BigInt(time),
  };
  switch (kind) {
    case 'd':
      return { kind: 'directory', ...owned, mode: whole(third, 0, 0o7777) };
    case 'f': {
      const positions = list(chunks).map((position) => whole(position, 0, chunkCount - 1));
      return { kind: 'file', ...owned, mode: whole(third, 0, 0o7777), chunks: positions };
    }
    case 'l': {
      const target = byteString(third);
      if (target === '') throw damaged('a link has no target');
      return { kind: 'symlink', ...owned, target };
    }
    default:
      throw damaged('an entry is of an unknown kind');
  }
}

function byteString(value: unknown): ByteString {
  if (typeof value !== 'string' || value.length > 4096 || /[^\x01-\xff]/.test(value)) {
    throw damaged('a path is none');
  }
  return value;
}

function whole(value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most)
    return value;
  throw damaged('a number is none, or too large');
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  throw damaged('a part is missing');
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw damaged('a list is missing');
}

function damaged(how: string): KilnError {
  return new KilnError('data_loss', `the index of cache mounts is damaged: ${how}`, {
    hint: 'export the cache mounts again',
  });
}
