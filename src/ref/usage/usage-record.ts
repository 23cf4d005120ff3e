import type { Digest } from '../../base/digest.ts';
import type { ContentStore } from '../../content/content.ts';
import type { UsageRecord } from '../disk-usage.ts';
import { parentsOf, type RefRecord } from '../records/ref-record.ts';

/** Describes a record, with what is known of it at the moment. */
export function usageOf(
  record: RefRecord,
  now: { readonly inUse: boolean; readonly shared: boolean; readonly size: number },
): UsageRecord {
  return {
    id: record.id,
    type: record.type,
    mutable: record.state !== 'committed',
    inUse: now.inUse,
    size: now.size,
    parents: parentsOf(record.origin),
    createdAt: record.createdAt,
    ...(record.lastUsedAt ? { lastUsedAt: record.lastUsedAt } : {}),
    usageCount: record.usageCount,
    description: record.description,
    shared: now.shared,
  };
}

/** Returns the bytes that each blob takes on the disk: file systems give space in blocks. */
export async function blobSizes(content: ContentStore): Promise<Map<Digest, number>> {
  const sizes = new Map<Digest, number>();
  for await (const { digest, size } of content.list()) sizes.set(digest, Math.ceil(size / 4096) * 4096);
  return sizes;
}
