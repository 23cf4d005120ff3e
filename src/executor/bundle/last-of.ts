/** One of each name: the last, where the first was. */
export function lastOf<T>(all: readonly T[], nameOf: (each: T) => string): T[] {
  const byName = new Map<string, T>();
  for (const each of all) byName.set(nameOf(each), each);
  return [...byName.values()];
}
