import { readFileSync } from 'node:fs';
import { toByteString } from '../../base/text/byte-string.ts';
import type { Task } from '../../base/threads/task.ts';
import { DirectoryTreeMaker } from '../../tree/directory-tree-maker.ts';
import { settleLayer, unpackUnsettled } from './unsettled-layer.ts';

export interface SettleLayerInput {
  readonly dir: string;
  /** The file that has what `packUnsettled` made. */
  readonly unsettled: string;
  /** The directories of the layers below, topmost first. */
  readonly below: readonly string[];
}

/** Completes a layer that was unpacked before those below it were there. */
const settle: Task<SettleLayerInput, void> = ({ dir, unsettled, below }) => {
  using tree = new DirectoryTreeMaker(toByteString(dir));
  settleLayer(tree, unpackUnsettled(readFileSync(unsettled)), below);
  tree.finish();
};

export default settle;
