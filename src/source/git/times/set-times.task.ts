import { type ByteString, toByteString } from '../../../base/text/byte-string.ts';
import type { Task } from '../../../base/threads/task.ts';
import { DirectoryTreeMaker } from '../../../tree/directory-tree-maker.ts';
import { pathIn } from '../../../tree/tree.ts';

export interface SetTimesInput {
  readonly directory: string;
  /** Seconds since 1970. */
  readonly time: number;
}

/** Gives every entry of a tree, links and the root included, the same times. */
const setTimesTask: Task<SetTimesInput, void> = ({ directory, time }, { throwIfAborted }) => {
  const nanoseconds = BigInt(time) * 1_000_000_000n;
  const times = { access: nanoseconds, modification: nanoseconds };
  using tree = new DirectoryTreeMaker(toByteString(directory));
  const visit = (at: ByteString): void => {
    throwIfAborted();
    if (tree.lookup(at)?.kind === 'directory') for (const name of tree.names(at)) visit(pathIn(at, name));
    tree.setMetadata(at, { times });
  };
  visit('');
  tree.finish();
};

export default setTimesTask;
