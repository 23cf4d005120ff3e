import { readFileSync } from 'node:fs';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import type { Digest } from '../base/digest.ts';
import { errnoOf } from '../base/errors.ts';
import type { Task } from '../base/threads/task.ts';
import { combinedDigests } from './combined-content.ts';
import { type ContentComparison, compareContent } from './content-change.ts';
import { parseContentEntries } from './content-entry.ts';
import { differingEntries } from './differing-entries.ts';
import { entriesFile } from './entries-file.ts';

/** Two digests; `directory` has what they cover. */
export interface CompareEntriesInput {
  readonly directory: string;
  readonly before: Digest;
  readonly after: Digest;
}

/** The number of changes that are returned. */
const maxChanges = 10;

const compareEntriesTask: Task<CompareEntriesInput, ContentComparison | undefined> = ({
  directory,
  before,
  after,
}) => {
  const read = (digest: Digest) => {
    const file = path.join(directory, entriesFile(digest));
    return zstdDecompressSync(readFileSync(file));
  };
  const compare = (one: Buffer, other: Buffer, part: number) => {
    const [old, now] = differingEntries(one, other).map(parseContentEntries);
    return compareContent(old!, now!).map((change) => ({ ...change, part }));
  };
  const compareAll = () => {
    const [one, other] = [read(before), read(after)];
    const [parts, otherParts] = [combinedDigests(one), combinedDigests(other)];
    if (!parts && !otherParts) return compare(one, other, 0);
    if (parts?.length !== otherParts?.length) return undefined;
    return parts!.flatMap((digest, part) =>
      digest === otherParts![part] ? [] : compare(read(digest), read(otherParts![part]!), part),
    );
  };
  try {
    const changes = compareAll();
    return changes && { first: changes.slice(0, maxChanges), total: changes.length };
  } catch (error) {
    // One of the parts was removed to save space.
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
};

export default compareEntriesTask;
