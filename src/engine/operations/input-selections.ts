import type { ContentSelection } from '../../content-hash/checksum.ts';
import type { Op } from '../../llb/op.ts';
import { distinctSelections } from './cache-inputs.ts';
import { execSelections } from './exec-operation.ts';
import { fileSelections } from './file-operation.ts';

/** What an op reads of each input; undefined where the input counts as a whole. In the order in which digests of it are combined. */
export function inputSelections({
  action,
  inputs,
}: Op): readonly (readonly ContentSelection[] | undefined)[] {
  switch (action.kind) {
    case 'exec':
      return execSelections(action, inputs.length).map(distinct);
    case 'file':
      return fileSelections(action, inputs.length).map(distinct);
    case 'source':
    case 'merge':
    case 'diff':
    case 'build':
    case 'passthrough':
      return [];
  }
}

function distinct(selections: readonly ContentSelection[] | undefined) {
  return selections && distinctSelections(selections);
}
