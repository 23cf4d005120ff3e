import { KilnError } from '../errors.ts';
import { compareUtf8 } from '../text/compare-utf8.ts';

/** What `JSON.stringify` writes as this text: a number that JavaScript's cannot hold. */
export const { rawJSON: rawJson } = JSON as unknown as { readonly rawJSON: (text: string) => object };

/**
 * JSON as Go's `encoding/json` writes it: `<`, `>`, `&`, U+2028 and U+2029 inside strings are escaped. Manifests and configs are
 * named by the digest of these bytes, so equal images get equal digests whichever builder wrote them. Keys keep the
 * order they have in `value`; undefined ones are left out.
 */
export function goJson(value: unknown, options: { readonly indent?: number } = {}): string {
  const replacer = typeof value === 'string' ? undefined : withBigints;
  return escapeLikeGo(JSON.stringify(value, replacer, options.indent));
}

/** Escaped characters can only occur inside strings, so the text as a whole can be treated. */
export function escapeLikeGo(json: string): string {
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * The fields of a JSON object as the texts they were written with (white space outside strings removed). What is not understood keeps
 * its exact form this way: integers beyond 2^53, the order of nested keys.
 * Throws `invalid_argument` when `text` is not a JSON object; `what` names it in the message.
 */
export function parseRawFields(text: string, what: string): Map<string, string> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new KilnError('invalid_argument', `${what} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new KilnError('invalid_argument', `${what} is not a JSON object`);
  }
  const fields = new Map<string, string>();
  let key: string | undefined;
  let value = '';
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    const closing = token === '}' || token === ']';
    if (closing) depth--;
    if (depth === 0 && closing) {
      if (key !== undefined) fields.set(key, value);
    } else if (depth === 1 && token === ',') {
      fields.set(key!, value);
      key = undefined;
      value = '';
    } else if (depth === 1 && key === undefined) {
      key = JSON.parse(token) as string;
    } else if (depth === 1 && token === ':' && value === '') {
      continue;
    } else if (depth > 0) {
      value += token;
    }
    if (token === '{' || token === '[') depth++;
  }
  return fields;
}

/** Writes raw fields as one object, keys sorted as Go sorts the keys of a map (by their UTF-8 bytes). */
export function writeRawFields(fields: ReadonlyMap<string, string>): string {
  const keys = [...fields.keys()].sort(compareUtf8);
  return escapeLikeGo(`{${keys.map((key) => `${JSON.stringify(key)}:${fields.get(key)}`).join(',')}}`);
}

/** A string map with its keys in Go's order; undefined when it is empty, as `omitempty` has it. */
export function sortedMap(
  map: Readonly<Record<string, string>> | undefined,
): Record<string, string> | undefined {
  const entries = Object.entries(map ?? {});
  if (entries.length === 0) return undefined;
  entries.sort(([a], [b]) => compareUtf8(a, b));
  return Object.fromEntries(entries);
}

function withBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? rawJson(String(value)) : value;
}
