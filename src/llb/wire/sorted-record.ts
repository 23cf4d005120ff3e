/** A copy of `record` whose keys come in the order of their code units, each value as `convert` makes it. */
export function sortedRecord<T, U>(
  record: Readonly<Record<string, T>>,
  convert: (value: T) => U,
): Record<string, U>;
export function sortedRecord<T>(record: Readonly<Record<string, T>>): Record<string, T>;
export function sortedRecord<T, U>(
  record: Readonly<Record<string, T>>,
  convert?: (value: T) => U,
): Record<string, T | U> {
  const keys = Object.keys(record).sort();
  return Object.fromEntries(keys.map((key) => [key, convert ? convert(record[key]!) : record[key]!]));
}
