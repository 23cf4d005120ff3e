import { type Digest, digestOf } from '../digest.ts';

/** A plain value: what JSON can say, plus bytes, bigints and undefined (left out). */
export type Plain =
  | undefined
  | null
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | readonly Plain[]
  | { readonly [key: string]: Plain };

/** The one encoding of values that are hashed: JSON with sorted keys; bytes and bigints are tagged so that nothing else reads the same. */
export function canonicalText(value: Plain): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'bigint') return `{"$int":"${value}"}`;
  if (value instanceof Uint8Array) return `{"$bytes":"${Buffer.from(value).toString('base64')}"}`;
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (typeof value === 'object') {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => `${JSON.stringify(key)}:${canonicalText(field)}`);
    return `{${fields.join(',')}}`;
  }
  return JSON.stringify(value);
}

/** The digest of a value. `kind` separates values of different meaning that look the same. */
export function canonicalDigest(kind: string, value: Plain): Digest {
  return digestOf(`kiln.${kind}\n${canonicalText(value)}`);
}
