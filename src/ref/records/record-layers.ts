import { joinLayers, layersAbove } from '../../snapshot/layer-list.ts';
import type { RefId } from '../ref.ts';
import type { RefRecord } from './ref-record.ts';
import type { RefRecords } from './ref-records.ts';

/** Returns the records that are the layers of an image of this tree, bottom first. */
export function layersOf(record: RefRecord, records: RefRecords): RefRecord[] {
  return layerIdsOf(record, records, new Map()).map((id) => records.require(id));
}

/** `known`: the layers of merges and diffs, each found once however often it is part of others. */
function layerIdsOf(
  record: RefRecord,
  records: RefRecords,
  known: Map<RefRecord, readonly RefId[]>,
): RefId[] {
  const own: RefId[] = [];
  let at = record;
  while (at.origin.kind === 'layer') {
    own.push(at.id);
    if (at.origin.parent === undefined) return own.reverse();
    at = records.require(at.origin.parent);
  }
  const joined = known.get(at) ?? joinedLayerIds(at, records, known);
  known.set(at, joined);
  return [...joined, ...own.reverse()];
}

function joinedLayerIds(
  { id, origin }: RefRecord,
  records: RefRecords,
  known: Map<RefRecord, readonly RefId[]>,
): RefId[] {
  const idsOf = (parent: RefId) => layerIdsOf(records.require(parent), records, known);
  switch (origin.kind) {
    case 'merge':
      return joinLayers(origin.parents.map(idsOf));
    case 'diff': {
      const lower = origin.lower === undefined ? [] : idsOf(origin.lower);
      return layersAbove(lower, idsOf(origin.upper)) ?? [id];
    }
    case 'layer':
      return [id];
    default:
      return origin satisfies never;
  }
}
