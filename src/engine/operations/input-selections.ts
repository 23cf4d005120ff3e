import type { ContentSelection } from '../../content-hash/checksum.ts';
import type { Op } from '../../llb/op.ts';
import { execReadings } from './exec-operation.ts';
import { fileReadings } from './file-operation.ts';
import type { InputReading } from './input-reading.ts';

/** What content of each input an op counts by; none where the input counts by its definition. In the order in which digests of it are combined. */
export function inputSelections(op: Op): readonly (readonly ContentSelection[])[] {
  return inputReadings(op).map(({ content }) => content?.selections ?? []);
}

function inputReadings({ action, inputs }: Op): readonly InputReading[] {
  switch (action.kind) {
    case 'exec':
      return execReadings(action, inputs.length);
    case 'file':
      return fileReadings(action, inputs.length);
    case 'source':
    case 'merge':
    case 'diff':
    case 'build':
    case 'passthrough':
      return [];
  }
}
