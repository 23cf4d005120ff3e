import type { Steps } from '../async/in-turns.ts';
import { goJson } from '../text/go-json.ts';

/** What JSON can say. Fields that are undefined are left out; a function is a part that is made when its turn comes. */
export type Json =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined }
  | (() => Json);

export interface JsonStepsOptions {
  /** What is written instead of a string. Keys are written as they are. */
  readonly text?: (value: string) => string;
}

const indent = '  ';

/** The text of a JSON value as Go's `json.MarshalIndent` writes it, in steps: a part that is a function is a step. */
export function* jsonSteps(value: Json, options: JsonStepsOptions = {}): Steps<string> {
  const parts: string[] = [];
  yield* write(value, '\n', parts, options.text ?? ((text) => text));
  return parts.join('');
}

function* write(value: Json, line: string, parts: string[], text: (value: string) => string): Steps<void> {
  if (typeof value === 'function') {
    yield;
    yield* write(value(), line, parts, text);
  } else if (typeof value === 'string') {
    parts.push(goJson(text(value)));
  } else if (isList(value)) {
    const items = value.map((item) => [undefined, item] as const);
    yield* writeItems('[', items, ']', line, parts, text);
  } else if (typeof value === 'object' && value !== null) {
    const items = Object.entries(value).filter((entry): entry is [string, Json] => entry[1] !== undefined);
    yield* writeItems('{', items, '}', line, parts, text);
  } else {
    parts.push(String(value));
  }
}

function* writeItems(
  opening: string,
  items: readonly (readonly [string | undefined, Json])[],
  closing: string,
  line: string,
  parts: string[],
  text: (value: string) => string,
): Steps<void> {
  parts.push(opening);
  const inner = line + indent;
  for (const [index, [key, item]] of items.entries()) {
    parts.push(index === 0 ? inner : `,${inner}`);
    if (key !== undefined) parts.push(`${goJson(key)}: `);
    yield* write(item, inner, parts, text);
  }
  parts.push(items.length === 0 ? closing : line + closing);
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** The fields that are not their type's zero value, as Go's `omitempty` has it; objects stay, even empty ones. */
export function nonEmpty(fields: { readonly [key: string]: Json | undefined }): {
  readonly [key: string]: Json;
} {
  return Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, Json] => !isEmpty(entry[1])),
  );
}

function isEmpty(value: Json | undefined): boolean {
  return (
    value === undefined ||
    value === false ||
    value === '' ||
    value === 0 ||
    value === 0n ||
    (Array.isArray(value) && value.length === 0)
  );
}

/** A map with its keys in Go's order; undefined when it is empty. */
export function jsonMap(
  entries: Iterable<readonly [string, Json]>,
): { readonly [key: string]: Json } | undefined {
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return sorted.length === 0 ? undefined : Object.fromEntries(sorted);
}
