import { readFileSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import type { Task } from '../../base/threads/task.ts';
import { describeTree } from '../../layer-blob/layer-differ-rig.ts';

/** For tests: describes a tree, or reads one file of it, in a thread, since the thread of a test has to fetch what is read. Of a file the error's name if it cannot be read. */
const lookAtTree: Task<
  { readonly tree: string } | { readonly file: string },
  Record<string, string> | Uint8Array | string
> = (input) => {
  if ('tree' in input) return describeTree(input.tree);
  try {
    return readFileSync(input.file);
  } catch (error) {
    return errnoOf(error) ?? String(error);
  }
};

export default lookAtTree;
