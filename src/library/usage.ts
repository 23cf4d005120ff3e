import { timestampDate } from '@bufbuild/protobuf/wkt';
import { createClient, type Transport } from '@connectrpc/connect';
import { Control, type UsageRecord as Message } from '../api/gen/control_pb.js';
import type { PruneOptions, UsageOptions, UsageRecord } from './usage-options.ts';

export async function usageOf(
  transport: Transport,
  { filters = [], signal }: UsageOptions,
): Promise<readonly UsageRecord[]> {
  const { records } = await createClient(Control, transport).diskUsage({ filters: [...filters] }, { signal });
  return records.map(fromMessage);
}

export async function* pruned(
  transport: Transport,
  { filters = [], all = false, keepDuration = 0, signal, ...limits }: PruneOptions,
): AsyncGenerator<UsageRecord> {
  const request = {
    filters: [...filters],
    all,
    keepDuration: BigInt(Math.round(keepDuration)) * 1_000_000n,
    reservedSpace: BigInt(limits.reservedSpace ?? 0),
    maxUsedSpace: BigInt(limits.maxUsedSpace ?? 0),
    minFreeSpace: BigInt(limits.minFreeSpace ?? 0),
  };
  for await (const record of createClient(Control, transport).prune(request, { signal })) {
    yield fromMessage(record);
  }
}

function fromMessage(message: Message): UsageRecord {
  const { createdAt, lastUsedAt, parent, parents } = message;
  return {
    id: message.id,
    parents: parents.length === 0 && parent ? [parent] : parents,
    description: message.description,
    type: message.recordType,
    size: Number(message.size),
    inUse: message.inUse,
    mutable: message.mutable,
    shared: message.shared,
    ...(createdAt && { createdAt: timestampDate(createdAt) }),
    ...(lastUsedAt && { lastUsedAt: timestampDate(lastUsedAt) }),
    usageCount: Number(message.usageCount),
  };
}
