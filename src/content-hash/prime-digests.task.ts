import { lstatSync } from 'node:fs';
import { digestHex } from '../base/digest.ts';
import { toByteString, toSystemPath } from '../base/text/byte-string.ts';
import type { Task } from '../base/threads/task.ts';
import type { KnownDigest } from './checksum.ts';
import type { LayerDigests } from './checksum-tree.task.ts';
import { headerOf, xattrsOf } from './entry-digests.ts';
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
    const { content } = entry;
    if (!content) {
      digests.delete(path);
      continue;
    }
    const stats = lstatSync(toSystemPath(`${root}/${path}`), { bigint: true, throwIfNoEntry: false });
    if (!stats?.isFile() || headerOf(stats, xattrsOf(`${root}/${path}`)) !== content.header)
      digests.delete(path);
    else digests.set(path, stats, { digest: digestHex(content.digest), xattrs: '' });
  }
  return digests.pack(false);
};

export default primeDigests;
