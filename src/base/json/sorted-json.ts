import { KilnError } from '../errors.ts';
import { compareUtf8 } from '../text/compare-utf8.ts';
import { escapeLikeGo } from './go-json.ts';

/** As deep as a value may be nested. */
const maxDepth = 1_000;

/**
 * A parsed value as Go's `encoding/json` writes one that it read without knowing its type: the keys of objects sorted by their UTF-8 bytes.
 * Throws `invalid_argument` for numbers that no float64 holds, and for values that are nested too deeply; `what` names the value.
 */
export function sortedJson(value: unknown, what: string): string {
  return escapeLikeGo(written(value, what, 0));
}

function written(value: unknown, what: string, depth: number): string {
  if (depth > maxDepth) {
    throw new KilnError('invalid_argument', `${what} is nested more than ${maxDepth} levels deep`);
  }
  if (Array.isArray(value)) return `[${value.map((item) => written(item, what, depth + 1)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value)
      .sort(([a], [b]) => compareUtf8(a, b))
      .map(([key, field]) => `${JSON.stringify(key)}:${written(field, what, depth + 1)}`);
    return `{${fields.join(',')}}`;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new KilnError('invalid_argument', `${what} has a number that is out of range`);
  }
  return JSON.stringify(value);
}
