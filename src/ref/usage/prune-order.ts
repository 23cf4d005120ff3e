/** What decides how soon a record is pruned. */
export interface PruneCandidate {
  readonly lastUsedAt?: Date;
  readonly usageCount: number;
}

/**
 * Returns a score for each candidate; the lowest is pruned first. It is the rank by last use plus the rank by number of uses, both
 * scaled to 0…1: what was used often stays longer than what was used once at the same time. A candidate never used is the oldest.
 */
export function pruneScores<T extends PruneCandidate>(candidates: readonly T[]): Map<T, number> {
  const byTime = ranks(candidates, ({ lastUsedAt }) => lastUsedAt?.getTime() ?? Number.NEGATIVE_INFINITY);
  const byCount = ranks(candidates, ({ usageCount }) => usageCount);
  return new Map(candidates.map((each, index) => [each, byTime[index]! + byCount[index]!]));
}

/** Equal values have equal ranks. */
function ranks<T>(items: readonly T[], keyOf: (item: T) => number): number[] {
  const keys = items.map(keyOf);
  const sorted = Float64Array.from(keys).sort();
  const values = sorted.filter((value, index) => index === 0 || value !== sorted[index - 1]);
  const positions = new Map<number, number>();
  for (const [index, value] of values.entries()) positions.set(value, (index + 1) / values.length);
  return keys.map((key) => positions.get(key)!);
}
