import { readFileSync } from 'node:fs';
import { zstdDecompressSync } from 'node:zlib';
import type { Task } from '../base/thread-pool.ts';
import { compareContent } from './content-change.ts';
import type { ContentComparison } from './content-entries.ts';
import { parseContentEntries } from './content-entry.ts';

/** Two files that `keep-entries.task.ts` wrote. */
export interface CompareEntriesInput {
  readonly before: string;
  readonly after: string;
}

/** How many changes are told. */
const told = 10;

const compareEntriesTask: Task<CompareEntriesInput, ContentComparison> = ({ before, after }) => {
  const read = (file: string) => parseContentEntries(zstdDecompressSync(readFileSync(file)));
  const changes = compareContent(read(before), read(after));
  return { first: changes.slice(0, told), total: changes.length };
};

export default compareEntriesTask;
