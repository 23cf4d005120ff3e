import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import { isOpaque, isWhiteout } from './overlay-marks.ts';

/** What one name shows in a tree made of layers. */
export interface MergedEntry {
  readonly name: ByteString;
  /** Where it lies: in the topmost layer that has it. */
  readonly path: ByteString;
  /** Which of the tree's layers that is, in the order they were given. */
  readonly layer: number;
  readonly stats: BigIntStats;
  /** What is in it, when it is a directory. */
  readonly directory?: MergedDirectory;
}

interface Part {
  readonly layer: number;
  readonly path: ByteString;
}

/** Whether marks count (`tree/overlay-marks.ts`): they do in a mounted overlay, and are files like others in a directory that is bound. */
type Form = 'overlay' | 'plain';

/**
 * A directory as a mount of its layers shows it, read without one: names of all of them, those of upper layers in front,
 * whiteouts and opaque directories honoured as the kernel does. Synchronous: for threads.
 */
export class MergedDirectory {
  readonly #form: Form;
  /** Topmost first. */
  readonly #parts: readonly Part[];

  constructor(form: Form, parts: readonly Part[]) {
    this.#form = form;
    this.#parts = parts;
  }

  /** No layer has it. */
  get isAbsent(): boolean {
    return this.#parts.length === 0;
  }

  /** Several layers have it: a mount puts together what is in them. */
  get isMerged(): boolean {
    return this.#parts.length > 1;
  }

  /** Whether both are made of the same directories. */
  hasPartsOf(other: MergedDirectory): boolean {
    return (
      this.#parts.length === other.#parts.length &&
      this.#parts.every(({ path }, index) => path === other.#parts[index]!.path)
    );
  }

  lookup(name: ByteString): MergedEntry | undefined {
    return this.#entry(name, this.#parts);
  }

  /** All entries, sorted by the bytes of their names. */
  entries(): MergedEntry[] {
    const partsOf = new Map<ByteString, Part[]>();
    for (const part of this.#parts) {
      for (const name of readdirSync(toSystemPath(part.path), { encoding: 'latin1' })) {
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
      if ((this.#form === 'overlay' && isWhiteout(stats)) || (found && !isDirectory)) break;
      found ??= { part, stats };
      if (!isDirectory) break;
      parts.push(part);
      if (index < candidates.length - 1 && isOpaque(toSystemPath(path))) break;
    }
    if (!found) return undefined;
    const { part, stats } = found;
    return {
      name,
      path: part.path,
      layer: part.layer,
      stats,
      ...(parts.length > 0 ? { directory: new MergedDirectory(this.#form, parts) } : {}),
    };
  }
}

/** A tree of layer directories, topmost first, as it is mounted: a single one is bound. */
export function mergedTree(layers: readonly ByteString[]): MergedDirectory {
  return new MergedDirectory(layers.length > 1 ? 'overlay' : 'plain', partsOf(layers));
}

/** What another layer lies on: also a single directory is part of an overlay then. */
export function treeBelow(layers: readonly ByteString[]): MergedDirectory {
  return new MergedDirectory('overlay', partsOf(layers));
}

function partsOf(layers: readonly ByteString[]): Part[] {
  return layers.map((path, layer) => ({ layer, path }));
}
