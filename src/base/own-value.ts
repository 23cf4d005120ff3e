/**
 * What `record` itself has under a name that came from outside: every object also has a `constructor` and a `__proto__` that
 * nobody put there. The way to look names up wherever a Map is not at hand; records are made of such names by `Object.fromEntries`.
 */
export function ownValue<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
