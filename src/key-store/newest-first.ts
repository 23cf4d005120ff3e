import type { KeyResult } from '../solver/key-store.ts';

/** Each result once, the newest first. */
export function newestFirst(results: readonly KeyResult[]): KeyResult[] {
  const newest = new Map<string, KeyResult>();
  for (const result of results) {
    const known = newest.get(result.id);
    if (!known || known.createdAt < result.createdAt) newest.set(result.id, result);
  }
  return [...newest.values()].sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
}
