/** What is in all of `sets`; nothing when there are none. Its cost is that of the smallest set in each. */
export function intersection<T>(sets: readonly ReadonlySet<T>[]): T[] {
  let smallest = sets[0];
  for (const set of sets) if (set.size < smallest!.size) smallest = set;
  if (!smallest) return [];
  return [...smallest].filter((item) => sets.every((set) => set.has(item)));
}
