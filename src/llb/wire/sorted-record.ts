import { compareUtf8 } from '../../base/text/compare-utf8.ts';

/**
 * A copy of `record` whose keys come in the order of their bytes in UTF-8, as Go sorts maps, each value as `convert` makes it. Keys that look
 * like numbers come first, whatever their bytes: records have no other place for them.
 */
export function sortedRecord<T, U>(
  record: Readonly<Record<string, T>>,
  convert: (value: T) => U,
): Record<string, U>;
export function sortedRecord<T>(record: Readonly<Record<string, T>>): Record<string, T>;
export function sortedRecord<T, U>(
  record: Readonly<Record<string, T>>,
  convert?: (value: T) => U,
): Record<string, T | U> {
  const keys = Object.keys(record).sort(compareUtf8);
  return Object.fromEntries(keys.map((key) => [key, convert ? convert(record[key]!) : record[key]!]));
}
