import type { Digest } from '../base/digest.ts';
import { toByteString } from '../base/text/byte-string.ts';
import type { Task } from '../base/threads/task.ts';
import type { MergedEntry } from '../tree/merged-directory.ts';
import type { ContentSelection } from './checksum.ts';
import { checksumTree } from './checksum-tree.ts';
import { readFileContent } from './entry-digests.ts';
import { FileDigests } from './file-digests.ts';

export interface ChecksumTreeInput {
  /** Topmost first. */
  readonly layers: readonly LayerDigests[];
  readonly selection: ContentSelection;
  /** Whether to tell of the entries, too. */
  readonly withEntries: boolean;
}

/** A layer directory with the known contents of its files, packed (see `FileDigests`). */
export interface LayerDigests {
  readonly dir: string;
  readonly known: Uint8Array | undefined;
}

export interface ChecksumTreeOutput {
  readonly digest: Digest;
  /** The layers with files whose contents became known. */
  readonly learned: readonly { readonly dir: string; readonly packed: Uint8Array }[];
  readonly entries?: Uint8Array;
}

const checksumTreeTask: Task<ChecksumTreeInput, ChecksumTreeOutput> = (
  { layers, selection, withEntries },
  context,
) => {
  const states = layers.map(({ dir, known }) => ({
    dir,
    prefixLength: toByteString(dir).length + 1,
    digests: new FileDigests(known),
  }));
  const readContent = (entry: MergedEntry) => {
    context.throwIfAborted();
    const { digests, prefixLength } = states[entry.layer]!;
    const path = entry.path.slice(prefixLength);
    const known = digests.get(path, entry.stats);
    if (known) return known;
    const content = readFileContent(entry, () => context.throwIfAborted());
    digests.set(path, entry.stats, content);
    return content;
  };
  const told: Buffer[] = [];
  const digest = checksumTree(
    layers.map((layer) => toByteString(layer.dir)),
    selection,
    readContent,
    withEntries ? (bytes) => told.push(bytes) : undefined,
  );
  const sawAll =
    selection.path === '/' && selection.includePatterns.length + selection.excludePatterns.length === 0;
  const learned = states
    .filter(({ digests }) => digests.hasChanged)
    .map(({ dir, digests }) => ({ dir, packed: digests.pack(sawAll) }));
  return { digest, learned, entries: withEntries ? Buffer.concat(told) : undefined };
};

export default checksumTreeTask;
