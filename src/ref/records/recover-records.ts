import { KilnError } from '../../base/errors.ts';
import type { SnapshotId, Snapshotter } from '../../snapshot/snapshot.ts';
import type { RefId } from '../ref.ts';
import type { RecordTable } from './record-table.ts';
import { parentsOf, type RefRecord, scratchRecord } from './ref-record.ts';

type Snapshots = ReadonlyMap<string, 'active' | 'committed'>;

/**
 * Reads the table, and drops what a killed process left half-made: mutable trees other than cache directories, layers with neither
 * files nor a blob, what failed steps left, everything built on these, and snapshots that belong to no record. Returns the records that stay, the empty
 * tree among them. Of layers whose snapshots are `unverified`, nobody knows whether their blobs have the files that were claimed.
 */
export async function recoverRecords(
  table: RecordTable,
  snapshotter: Snapshotter,
  unverified: ReadonlySet<SnapshotId>,
): Promise<RefRecord[]> {
  const snapshots = new Map<string, 'active' | 'committed'>();
  for await (const { id, state } of snapshotter.list()) snapshots.set(id, state);
  const loaded = [scratchRecord(), ...table.load()];
  const records = new Map(loaded.map((record) => [record.id, record] as const));
  table.delete(takeBroken(records, snapshots));
  for (const record of records.values()) {
    const isVerified = !unverified.has(record.id as string as SnapshotId);
    if (isVerified && snapshots.get(record.id) === 'committed') record.claim = 'unpacked';
  }
  await removeOrphans(records, snapshots, snapshotter);
  return [...records.values()];
}

/** Takes the records that are not whole, and everything built on them, out of the map, and returns their ids. */
function takeBroken(records: Map<RefId, RefRecord>, snapshots: Snapshots): RefId[] {
  const broken: RefId[] = [];
  let found = [...records.values()].filter((record) => !isWhole(record, snapshots));
  while (found.length > 0) {
    for (const { id } of found) {
      records.delete(id);
      broken.push(id);
    }
    found = [...records.values()].filter(({ origin }) =>
      parentsOf(origin).some((parent) => !records.has(parent)),
    );
  }
  return broken;
}

function isWhole(record: RefRecord, snapshots: Snapshots): boolean {
  // Nobody knows the step any more.
  if (record.type === 'failed.step') return false;
  // What was being written when the process ended may be half-written; users of cache directories have to stand that.
  if (record.state === 'mutable') return record.name !== undefined && snapshots.has(record.id);
  if (record.state === 'frozen') return snapshots.has(record.id);
  if (record.origin.kind !== 'layer') return true;
  return snapshots.get(record.id) === 'committed' || record.blobs.length > 0;
}

/** Removes snapshots without a record, and those that a killed process was unpacking. */
async function removeOrphans(
  records: ReadonlyMap<RefId, RefRecord>,
  snapshots: Snapshots,
  snapshotter: Snapshotter,
): Promise<void> {
  let orphans = [...snapshots].filter(([id, state]) => {
    const record = records.get(id as RefId);
    return !record || (record.state === 'committed' && state === 'active');
  });
  while (orphans.length > 0) {
    const kept: typeof orphans = [];
    for (const orphan of orphans) {
      try {
        await snapshotter.remove(orphan[0] as SnapshotId);
      } catch (error) {
        // Another snapshot stands on it, which may go in this round.
        if (!(error instanceof KilnError && error.code === 'failed_precondition')) throw error;
        kept.push(orphan);
      }
    }
    if (kept.length === orphans.length) return;
    orphans = kept;
  }
}
