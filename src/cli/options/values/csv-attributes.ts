import { KilnError } from '../../../base/errors.ts';
import { parseCsv } from '../../../base/text/csv.ts';
import { cutPair } from '../../../base/text/cut-pair.ts';

/** `key=value` fields of one record of comma-separated values, keys in lower case. `flag` is named in errors. */
export function csvAttributes(flag: string, text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const field of parseCsv(text)) {
    const [key, value] = cutPair(field) ?? [];
    if (key === undefined || value === undefined) {
      throw new KilnError('invalid_argument', `${flag} ${text}: ${JSON.stringify(field)} is not key=value`);
    }
    attributes.set(key.toLowerCase(), value);
  }
  return attributes;
}
