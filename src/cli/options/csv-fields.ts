import { KilnError } from '../../base/errors.ts';

/** Splits one record of comma-separated values; a field in double quotes may hold commas, and `""` for a quote (RFC 4180). */
export function csvFields(text: string): readonly string[] {
  const fields: string[] = [];
  const field = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  for (;;) {
    const match = field.exec(text);
    if (!match) {
      throw new KilnError('invalid_argument', `misplaced quote in ${JSON.stringify(text)}`, {
        hint: 'a quoted value is quoted as a whole: "key=value,with,commas"',
      });
    }
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2]!);
    if (match[3] === '') return fields;
  }
}

/** `key=value` fields of one record, keys in lower case. `flag` is named in errors. */
export function csvAttributes(flag: string, text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const field of csvFields(text)) {
    const [key, value] = cutPair(field) ?? [];
    if (key === undefined || value === undefined) {
      throw new KilnError('invalid_argument', `${flag} ${text}: ${JSON.stringify(field)} is not key=value`);
    }
    attributes.set(key.toLowerCase(), value);
  }
  return attributes;
}

/** Splits at the first `=`; undefined without one. */
export function cutPair(text: string): readonly [key: string, value: string] | undefined {
  const at = text.indexOf('=');
  return at < 0 ? undefined : [text.slice(0, at), text.slice(at + 1)];
}
