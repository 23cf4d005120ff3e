import { KilnError } from '../errors.ts';
import { compareUtf8 } from '../text/compare-utf8.ts';
import { escapeLikeGo } from './go-json.ts';

/**
 * A parsed value as Go's `encoding/json` writes one that it read without knowing its type: the keys of objects sorted by their UTF-8 bytes.
 * Its text has to have passed `checkJsonBounds`. Throws `invalid_argument` for numbers that no float64 holds; `what` names the value.
 */
export function sortedJson(value: unknown, what: string): string {
  return escapeLikeGo(written(value, what));
}

function written(value: unknown, what: string): string {
  if (Array.isArray(value)) return `[${value.map((item) => written(item, what)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value)
      .sort(([a], [b]) => compareUtf8(a, b))
      .map(([key, field]) => `${JSON.stringify(key)}:${written(field, what)}`);
    return `{${fields.join(',')}}`;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new KilnError('invalid_argument', `${what} has a number that is out of range`);
  }
  return Object.is(value, -0) ? '-0' : JSON.stringify(value);
}
