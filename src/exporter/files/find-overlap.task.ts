import { readdirSync } from 'node:fs';
import { toByteString } from '../../base/text/byte-string.ts';

export interface NamedTree {
  readonly name: string;
  /** Undefined is the empty tree. */
  readonly path: string | undefined;
  /** Names of files that come with the tree. */
  readonly added: readonly string[];
}

export interface Overlap {
  /** Relative to the roots. */
  readonly file: string;
  readonly first: string;
  readonly second: string;
}

/** Finds a file that two of the trees have in the same place. Directories may be in several trees. */
export default function findOverlapTask(trees: readonly NamedTree[]): Overlap | undefined {
  const owners = new Map<string, string>();
  for (const { name, path, added } of trees) {
    const files = new Set(added.map(toByteString));
    if (path !== undefined) for (const file of filesBelow(path, '')) files.add(file);
    for (const file of files) {
      const first = owners.get(file);
      if (first !== undefined) return { file: Buffer.from(file, 'latin1').toString(), first, second: name };
      owners.set(file, name);
    }
  }
  return undefined;
}

/** Names are read as latin1, so that their bytes are kept. */
function* filesBelow(root: string, directory: string): Generator<string> {
  const at = Buffer.concat([Buffer.from(`${root}/`), Buffer.from(directory, 'latin1')]);
  for (const entry of readdirSync(at, { encoding: 'latin1', withFileTypes: true })) {
    const file = directory === '' ? entry.name : `${directory}/${entry.name}`;
    if (entry.isDirectory()) yield* filesBelow(root, file);
    else yield file;
  }
}
