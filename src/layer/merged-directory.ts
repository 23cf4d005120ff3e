import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { getXattr } from '../linux/xattr.ts';
import { type ByteString, toByteString, toSystemPath } from './byte-path.ts';

/** An entry of a merged directory. */
export interface MergedEntry {
  readonly name: ByteString;
  /** Where the entry lies: in the topmost layer that has it. */
  readonly path: ByteString;
  /** Which of the tree's layers that is, in the order they were given to `mergedTree`. */
  readonly layer: number;
  readonly stats: BigIntStats;
  /** What is in it, when it is a directory. */
  readonly directory?: MergedDirectory;
}

interface Part {
  readonly layer: number;
  readonly path: ByteString;
}

/**
 * A directory as overlayfs would show it, read from the layers without a mount: names of all of them, those of upper
 * layers in front, whiteouts and opaque directories honoured. Synchronous: for threads.
 */
export class MergedDirectory {
  /** Topmost first. */
  readonly #parts: readonly Part[];

  constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  lookup(name: ByteString): MergedEntry | undefined {
    return this.#entry(name, this.#parts);
  }

  /** All entries, sorted by the bytes of their names. */
  entries(): MergedEntry[] {
    const partsOf = new Map<ByteString, Part[]>();
    for (const part of this.#parts) {
      for (const name of readdirSync(toSystemPath(part.path), 'latin1')) {
        const parts = partsOf.get(name);
        if (parts) parts.push(part);
        else partsOf.set(name, [part]);
      }
    }
    return [...partsOf.keys()].sort().flatMap((name) => this.#entry(name, partsOf.get(name)!) ?? []);
  }

  #entry(name: ByteString, candidates: readonly Part[]): MergedEntry | undefined {
    let found: { readonly part: Part; readonly stats: BigIntStats } | undefined;
    const parts: Part[] = [];
    for (const [index, candidate] of candidates.entries()) {
      const path = `${candidate.path}/${name}`;
      const stats = lstatSync(toSystemPath(path), { bigint: true, throwIfNoEntry: false });
      if (!stats) continue;
      const part: Part = { layer: candidate.layer, path };
      const isDirectory = stats.isDirectory();
      if (isWhiteout(stats) || (found && !isDirectory)) break;
      found ??= { part, stats };
      if (!isDirectory) break;
      parts.push(part);
      if (index < candidates.length - 1 && isOpaque(path)) break;
    }
    if (!found) return undefined;
    const { part, stats } = found;
    return {
      name,
      path: part.path,
      layer: part.layer,
      stats,
      ...(parts.length > 0 ? { directory: new MergedDirectory(parts) } : {}),
    };
  }
}

/** The root of a tree of layer directories (Unicode paths), topmost first. */
export function mergedTree(layerDirs: readonly string[]): MergedDirectory {
  return new MergedDirectory(layerDirs.map((dir, layer) => ({ layer, path: toByteString(dir) })));
}

/** overlayfs marks a deleted name with a character device of number 0. */
export function isWhiteout(stats: BigIntStats): boolean {
  return stats.rdev === 0n && stats.isCharacterDevice();
}

/** Whether a directory of a layer hides what layers below have at its place. */
export function isOpaque(path: ByteString): boolean {
  const file = toSystemPath(path);
  return ['trusted.overlay.opaque', 'user.overlay.opaque'].some(
    (name) => getXattr(file, name)?.toString() === 'y',
  );
}
