import type { Steps } from '../async/in-turns.ts';
import { compareUtf8 } from '../text/compare-utf8.ts';
import { Utf8Writer } from '../text/utf8-writer.ts';
import { escapeLikeGo, goJson, rawJson } from './go-json.ts';

/** What JSON can say. Fields that are undefined are left out. */
export type Json =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** JSON with parts that are made when their turn comes. */
export type JsonParts =
  | Json
  | (() => Json)
  | readonly JsonParts[]
  | { readonly [key: string]: JsonParts | undefined };

export interface JsonStepsOptions {
  /** What is written instead of a string. Keys are written as they are. */
  readonly text?: (value: string) => string;
}

interface Writing {
  readonly written: Utf8Writer;
  readonly text: (value: string) => string;
}

const indent = '  ';

/** A JSON value as Go's `json.MarshalIndent` writes it, in steps: a part that is a function is a step. */
export function* jsonSteps(value: JsonParts, options: JsonStepsOptions = {}): Steps<Uint8Array> {
  const writing: Writing = { written: new Utf8Writer(), text: options.text ?? ((text) => text) };
  yield* writeSteps(value, '\n', writing);
  return writing.written.finish();
}

function* writeSteps(value: JsonParts, line: string, writing: Writing): Steps<void> {
  const { written, text } = writing;
  if (typeof value === 'function') {
    yield;
    written.add(write(value(), line, text));
  } else if (typeof value !== 'object' || value === null || !hasParts(value)) {
    written.add(write(value as Json, line, text));
  } else {
    const inner = line + indent;
    const list = Array.isArray(value);
    written.add(list ? '[' : '{');
    let separator = inner;
    for (const [key, item] of Object.entries(value)) {
      if (item === undefined) continue;
      written.add(list ? separator : `${separator}${goJson(key)}: `);
      yield* writeSteps(item, inner, writing);
      separator = `,${inner}`;
    }
    written.add(list ? `${line}]` : `${line}}`);
  }
}

/** Whether a function is in it, also in what it holds. Lists are of one kind. */
function hasParts(value: JsonParts | undefined): boolean {
  if (typeof value === 'function') return true;
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) ? hasParts(value[0]) : Object.values(value).some(hasParts);
}

/** `line`: what a line begins with; a line feed in a string is escaped. */
function write(value: Json, line: string, text: (value: string) => string): string {
  const replacer = (_key: string, item: unknown): unknown =>
    typeof item === 'string' ? text(item) : typeof item === 'bigint' ? rawJson(String(item)) : item;
  return escapeLikeGo(JSON.stringify(value, replacer, indent)).replaceAll('\n', line);
}

/** The fields that are not their type's zero value, as Go's `omitempty` has it; objects stay, even empty ones. */
export function nonEmpty<Value extends JsonParts>(fields: {
  readonly [key: string]: Value | undefined;
}): { readonly [key: string]: Value } {
  return Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, Value] => !isEmpty(entry[1])),
  );
}

function isEmpty(value: JsonParts | undefined): boolean {
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
  const sorted = [...entries].sort(([a], [b]) => compareUtf8(a, b));
  return sorted.length === 0 ? undefined : Object.fromEntries(sorted);
}
