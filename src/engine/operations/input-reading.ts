import { type Digest, digestOf } from '../../base/digest.ts';
import { compareUtf8 } from '../../base/text/compare-utf8.ts';
import type { ContentSelection, ContentSelections } from '../../content-hash/checksum.ts';
import { isFiltered } from '../../content-hash/is-filtered.ts';

/** What an operation takes of one of its inputs. */
export interface InputReading {
  /** The part that is used, as far as the definition tells. */
  readonly selector: Digest | undefined;
  /** What content counts; undefined where the input counts by its definition only. */
  readonly content: ContentSelections | undefined;
}

/** One thing that an operation reads of an input. */
export interface InputUse {
  readonly selection: ContentSelection;
  /** What the operation's own digest tells of the use, by which the path may be found out. */
  readonly name: string;
}

/** An input of which nothing is known but that it is used. */
export const wholeInput: InputReading = { selector: undefined, content: undefined };

/**
 * Returns the content that several uses of an input count by. BuildKit combines the digests by the order of their paths, each path once,
 * and none below another. Where that does not tell which digest belongs to which use, they are combined in the order of use.
 */
export function contentReading(uses: readonly InputUse[]): ContentSelections {
  const selections = uses.map(({ selection }) => selection);
  const combined = combinedSelections(selections);
  const isOneThing = new Set(selections.map(keyOf)).size === 1;
  const isTold = combined.length === uses.length && samePermutation(uses);
  return isOneThing || isTold
    ? { selections: combined, isInOrderOfUse: false }
    : { selections, isInOrderOfUse: true };
}

/**
 * Returns BuildKit's selector of the uses' paths, given the text that it hashes, or one of Kiln's own where uses that are told
 * apart by nothing else could be swapped.
 */
export function pathSelector(uses: readonly InputUse[], text: string): Digest {
  const isTold = Map.groupBy(uses, ({ name }) => name)
    .values()
    .every((alike) =>
      alike.every(({ selection }, index) => index === 0 || !isBefore(selection, alike[index - 1]!.selection)),
    );
  return digestOf(isTold ? text : `kiln selector\0${uses.map(({ selection }) => selection.path).join('\0')}`);
}

/** The paths that are read as they are, without those that lie in another one, then the others; all by the order of their paths. */
function combinedSelections(selections: readonly ContentSelection[]): readonly ContentSelection[] {
  const plain = selections.filter((each) => !isFiltered(each));
  const plainByLinks = [false, true].flatMap((followLinks) =>
    topmostPaths(plain.filter((each) => each.followLinks === followLinks)),
  );
  return [...plainByLinks, ...selections.filter(isFiltered)].sort(byPath);
}

function topmostPaths(selections: readonly ContentSelection[]): readonly ContentSelection[] {
  const byName = new Map(selections.map((each) => [each.path, each]));
  const kept: ContentSelection[] = [];
  for (const [path, selection] of [...byName].sort(([, a], [, b]) => byPath(a, b))) {
    if (!isBelowAny(path, byName)) kept.push(selection);
  }
  return kept;
}

/** Whether the text of a directory's path that has another path begins this one. */
function isBelowAny(path: string, paths: ReadonlyMap<string, unknown>): boolean {
  for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
    const above = path.slice(0, end);
    if (paths.has(above) || (end + 1 < path.length && paths.has(`${above}/`))) return true;
  }
  return false;
}

/** Whether sorting the uses by their paths does the same as sorting them by what the operation's digest tells. */
function samePermutation(uses: readonly InputUse[]): boolean {
  const byPaths = [...uses].sort((a, b) => byPath(a.selection, b.selection));
  const byNames = [...uses].sort((a, b) => compareUtf8(a.name, b.name));
  return byPaths.every((use, index) => use === byNames[index]);
}

function byPath(a: ContentSelection, b: ContentSelection): number {
  return compareUtf8(a.path, b.path);
}

function isBefore(a: ContentSelection, b: ContentSelection): boolean {
  return byPath(a, b) < 0;
}

function keyOf(selection: ContentSelection): string {
  return JSON.stringify(selection);
}
