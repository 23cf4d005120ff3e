import type { ContentEntry } from './content-entry.ts';

/** A difference of one entry between two states of a tree. Paths as in `ContentEntry`. */
export type ContentChange = { readonly path: string } & (
  | { readonly kind: 'added' | 'removed' | 'content' | 'xattrs' }
  | { readonly kind: 'renamed'; readonly to: string }
  | { readonly kind: 'mode' | 'owner' | 'type' | 'target'; readonly before: string; readonly after: string }
);

/** The first changes, and how many there are. */
export interface ContentComparison {
  /** `part`: which of several combined checksums covers the change. */
  readonly first: readonly (ContentChange & { readonly part: number })[];
  readonly total: number;
}

/** Returns the changes in the order of the tree, each entry at most once. A file that only moved is `renamed`. */
export function compareContent(
  before: readonly ContentEntry[],
  after: readonly ContentEntry[],
): readonly ContentChange[] {
  const old = new Map(before.map((entry) => [entry.path, entry]));
  const kept = new Set(after.map(({ path }) => path));
  const removed = before.filter(({ path }) => !kept.has(path));
  const origins = Map.groupBy(removed.filter(isDistinctive).reverse(), identity);
  const moved = new Map<ContentEntry, ContentEntry>();
  const changes: { readonly at: string; readonly change: ContentChange }[] = [];
  for (const entry of after) {
    const { path } = entry;
    const known = old.get(path);
    if (known) {
      const change = entryChange(known, entry);
      if (change) changes.push({ at: path, change });
      continue;
    }
    const origin = isDistinctive(entry) ? origins.get(identity(entry))?.pop() : undefined;
    if (origin) moved.set(origin, entry);
    else changes.push({ at: path, change: { path, kind: 'added' } });
  }
  for (const entry of removed) {
    const { path } = entry;
    const to = moved.get(entry)?.path;
    changes.push({
      at: path,
      change: to === undefined ? { path, kind: 'removed' } : { path, kind: 'renamed', to },
    });
  }
  return changes.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)).map(({ change }) => change);
}

function entryChange(before: ContentEntry, after: ContentEntry): ContentChange | undefined {
  const { path } = after;
  if (before.type !== after.type) return { path, kind: 'type', before: before.type, after: after.type };
  if (after.type === 'link' && before.data !== after.data)
    return { path, kind: 'target', before: before.data, after: after.data };
  if (sizeOf(before) !== sizeOf(after)) return { path, kind: 'content' };
  if (before.mode !== after.mode)
    return { path, kind: 'mode', before: modeText(before.mode), after: modeText(after.mode) };
  if (before.owner !== after.owner) return { path, kind: 'owner', before: before.owner, after: after.owner };
  if (before.xattrs !== after.xattrs) return { path, kind: 'xattrs' };
  // The digest is not of the data alone: it has changed with everything above, too.
  return before.data === after.data ? undefined : { path, kind: 'content' };
}

/** The size of a file; nothing else has one. */
function sizeOf({ type, data }: ContentEntry): string {
  return type === 'file' ? data.split(' ', 1)[0]! : '';
}

/** Returns what a file keeps when it is renamed. */
function identity({ data, mode, owner }: ContentEntry): string {
  return `${data} ${mode} ${owner}`;
}

/** Empty files have nothing by which one could be told from another. */
function isDistinctive({ type, data }: ContentEntry): boolean {
  return type === 'file' && !data.startsWith('0 ');
}

function modeText(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
