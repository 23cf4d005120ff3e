import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { UsageRecord } from '../api/gen/control_pb.js';
import { formatBytes } from './progress/format-bytes.ts';
import { formatTable } from './table.ts';

const idWidth = 71;

/** The line above `usageRow`s. */
export const usageHeader = `${'ID'.padEnd(idWidth)}\tRECLAIMABLE\tSIZE\tLAST ACCESSED\n`;

/** A record as one line; `*` marks an id that can change and a size that is shared. Columns are tabs apart, as scripts expect. */
export function usageRow(record: UsageRecord): string {
  const id = `${record.id}${record.mutable ? '*' : ''}`.padEnd(idWidth);
  const size = `${formatBytes(Number(record.size))}${record.shared ? '*' : ''}`;
  return `${id}\t${String(!record.inUse).padEnd(11)}\t${size}\t\n`;
}

/** A record as a block of lines, with everything that is known about it. */
export function usageDetails(record: UsageRecord): string {
  const rows: [string, string][] = [
    ['ID:', record.id],
    ...(record.parents.length > 0 ? [['Parents:', record.parents.join(';')] as [string, string]] : []),
    ['Created at:', record.createdAt ? timestampDate(record.createdAt).toISOString() : ''],
    ['Mutable:', String(record.mutable)],
    ['Reclaimable:', String(!record.inUse)],
    ['Shared:', String(record.shared)],
    ['Size:', formatBytes(Number(record.size))],
  ];
  if (record.description) rows.push(['Description:', record.description]);
  rows.push(['Usage count:', String(record.usageCount)]);
  if (record.lastUsedAt) rows.push(['Last used:', timestampDate(record.lastUsedAt).toISOString()]);
  if (record.recordType) rows.push(['Type:', record.recordType]);
  return `${formatTable(rows)}\n`;
}

/** What all records take together. */
export function usageSummary(records: readonly UsageRecord[]): string {
  const sum = (of: (record: UsageRecord) => boolean) =>
    records.reduce((total, record) => total + (of(record) ? Math.max(0, Number(record.size)) : 0), 0);
  const total = sum(() => true);
  const shared = sum((record) => record.shared);
  return formatTable([
    ...(shared > 0
      ? [
          ['Shared:', formatBytes(shared)],
          ['Private:', formatBytes(total - shared)],
        ]
      : []),
    ['Reclaimable:', formatBytes(sum((record) => !record.inUse))],
    ['Total:', formatBytes(total)],
  ]);
}

/** A record with the field names of the Go client's JSON. */
export function usageJson(record: UsageRecord): object {
  return {
    id: record.id,
    mutable: record.mutable,
    inUse: record.inUse,
    size: Number(record.size),
    createdAt: record.createdAt ? timestampDate(record.createdAt) : new Date(0),
    lastUsedAt: record.lastUsedAt ? timestampDate(record.lastUsedAt) : null,
    usageCount: Number(record.usageCount),
    parents: record.parents,
    description: record.description,
    recordType: record.recordType,
    shared: record.shared,
  };
}
