import { lstatSync } from 'node:fs';
import { digestHex } from '../base/digest.ts';
import { toByteString, toSystemPath } from '../base/text/byte-string.ts';
import type { Task } from '../base/threads/task.ts';
import type { KnownDigest } from './checksum.ts';
import type { LayerDigests } from './checksum-tree.task.ts';
import { xattrsOf } from './checksum-tree.ts';
import { FileDigests } from './file-digests.ts';

export interface PrimeDigestsInput extends LayerDigests {
  readonly entries: readonly KnownDigest[];
}

/** Adds known digests to those of a layer, and removes those of files that are gone. Returns all of them packed. */
const primeDigests: Task<PrimeDigestsInput, Uint8Array> = ({ dir, known, entries }) => {
  const digests = new FileDigests(known);
  const root = toByteString(dir);
  for (const entry of entries) {
    const path =
      typeof entry.path === 'string' ? toByteString(entry.path) : Buffer.from(entry.path).toString('latin1');
    if (entry.digest === undefined) {
      digests.delete(path);
      continue;
    }
    const stats = lstatSync(toSystemPath(`${root}/${path}`), { bigint: true, throwIfNoEntry: false });
    if (!stats?.isFile()) continue;
    digests.set(path, stats, { digest: digestHex(entry.digest), xattrs: xattrsOf(`${root}/${path}`) });
  }
  return digests.pack(false);
};

export default primeDigests;
