import type { ByteString } from '../base/text/byte-string.ts';
import type { MergedDirectory, MergedEntry } from './merged-directory.ts';
import { sameEntry } from './same-entry.ts';

/** One difference between two trees. `path` is relative to their roots. A directory is listed before what is in it. */
export type TreeChange =
  | { readonly kind: 'deleted'; readonly path: ByteString }
  /** `replaced`: the lower tree has something else than a directory there, or nothing that could stay. */
  | {
      readonly kind: 'written';
      readonly path: ByteString;
      readonly entry: MergedEntry;
      readonly replaced: boolean;
    };

/**
 * What `upper` has that `lower` has not, and the other way round, both directories: in each directory first what
 * is written, in the order of the names' bytes, then what is deleted.
 */
export function* treeChanges(
  lower: MergedDirectory | undefined,
  upper: MergedDirectory,
  base: ByteString = '',
): Generator<TreeChange> {
  const before = new Map((lower?.entries() ?? []).map((entry) => [entry.name, entry] as const));
  for (const entry of upper.entries()) {
    const path = base === '' ? entry.name : `${base}/${entry.name}`;
    const old = before.get(entry.name);
    before.delete(entry.name);
    if (!old || !sameEntry(old, entry)) {
      yield {
        kind: 'written',
        path,
        entry,
        replaced: old !== undefined && !(old.directory && entry.directory),
      };
    }
    if (entry.directory) yield* treeChanges(old?.directory, entry.directory, path);
  }
  for (const name of before.keys()) yield { kind: 'deleted', path: base === '' ? name : `${base}/${name}` };
}
