import { type ErrorCode, KilnError, type Range } from '../base/errors.ts';
import { type Platform, parsePlatform } from '../base/platform.ts';
import type { NumberedTrees } from './messages.ts';

/** What a build file's process said, once it is known to be what it has to be. */
export type ParsedMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'ask'; readonly id: number; readonly question: Fields }
  | { readonly kind: 'warn'; readonly warning: Fields }
  | { readonly kind: 'result'; readonly result: NumberedTrees }
  | { readonly kind: 'failure'; readonly failure: ParsedFailure };

export interface ParsedFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  readonly source: ParsedSource | undefined;
  readonly question: number | undefined;
}

export interface ParsedSource {
  readonly filename: string;
  readonly data: Uint8Array;
  readonly ranges: readonly Range[];
}

/** Only these are a file's to give; the engine has others. */
const codes: ReadonlySet<string> = new Set([
  ...[
    'canceled',
    'unknown',
    'invalid_argument',
    'deadline_exceeded',
    'not_found',
    'already_exists',
    'permission_denied',
  ],
  ...[
    'resource_exhausted',
    'failed_precondition',
    'aborted',
    'out_of_range',
    'unimplemented',
    'internal',
    'unavailable',
  ],
  ...['data_loss', 'unauthenticated'],
]);

const mostRanges = 100;

/** Parses a message of a process that can say anything. Throws `invalid_argument`. */
export function parseChildMessage(message: unknown): ParsedMessage {
  const fields = new Fields(message);
  const kind = fields.text('kind');
  switch (kind) {
    case 'ready':
      return { kind };
    case 'ask':
      return { kind, id: fields.count('id'), question: fields.fields('question') };
    case 'warn':
      return { kind, warning: fields.fields('warning') };
    case 'result':
      return { kind, result: numberedTrees(fields.fields('result')) };
    case 'failure':
      return { kind, failure: failure(fields.fields('failure')) };
    default:
      throw nonsense();
  }
}

export function parseSource(fields: Fields): ParsedSource {
  return {
    filename: fields.text('filename'),
    data: fields.bytes('data'),
    ranges: fields.list('ranges', mostRanges).map((item) => {
      const range = new Fields(item);
      const position = (name: keyof Range) => {
        const at = range.fields(name);
        return { line: at.count('line'), character: at.count('character') };
      };
      return { start: position('start'), end: position('end') };
    }),
  };
}

function numberedTrees(fields: Fields): NumberedTrees {
  return {
    refs: fields.pairs('refs').map(([key, value]) => {
      if (value !== null && !isCount(value)) throw nonsense();
      return [key, value];
    }),
    metadata: fields.textPairs('metadata'),
  };
}

function failure(fields: Fields): ParsedFailure {
  const code = fields.text('code');
  return {
    code: codes.has(code) ? (code as ErrorCode) : 'unknown',
    message: fields.text('message'),
    hint: fields.optional('hint', (name) => fields.text(name)),
    source: fields.optional('source', (name) => parseSource(fields.fields(name)) satisfies ParsedSource),
    question: fields.optional('question', (name) => fields.count(name)),
  };
}

/** The fields of an object, each checked when it is read. */
export class Fields {
  readonly #object: object;

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw nonsense();
    this.#object = value;
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.#object, name)
      ? (this.#object as Readonly<Record<string, unknown>>)[name]
      : undefined;
  }

  optional<T>(name: string, read: (name: string) => T): T | undefined {
    const value = this.#get(name);
    return value === undefined || value === null ? undefined : read(name);
  }

  text(name: string): string {
    const value = this.#get(name);
    if (typeof value !== 'string') throw nonsense();
    return value;
  }

  count(name: string): number {
    const value = this.#get(name);
    if (!isCount(value)) throw nonsense();
    return value;
  }

  flag(name: string): boolean {
    const value = this.#get(name);
    if (typeof value !== 'boolean') throw nonsense();
    return value;
  }

  bytes(name: string): Uint8Array {
    return Buffer.from(this.text(name), 'base64');
  }

  platform(name: string): Platform {
    return parsePlatform(this.text(name));
  }

  fields(name: string): Fields {
    return new Fields(this.#get(name));
  }

  list(name: string, most = 100_000): readonly unknown[] {
    const value = this.#get(name);
    if (!Array.isArray(value) || value.length > most) throw nonsense();
    return value as readonly unknown[];
  }

  texts(name: string): readonly string[] {
    return this.list(name).map((item) => {
      if (typeof item !== 'string') throw nonsense();
      return item;
    });
  }

  pairs(name: string): readonly (readonly [string, unknown])[] {
    return this.list(name).map((item) => {
      if (!Array.isArray(item) || item.length !== 2 || typeof item[0] !== 'string') throw nonsense();
      return [item[0], item[1] as unknown];
    });
  }

  textPairs(name: string): readonly (readonly [string, string])[] {
    return this.pairs(name).map(([key, value]) => {
      if (typeof value !== 'string') throw nonsense();
      return [key, value];
    });
  }

  record(name: string): Readonly<Record<string, string>> {
    const { entries } = {
      entries: Object.entries(new Object(this.#get(name)) as Readonly<Record<string, unknown>>),
    };
    return Object.fromEntries(
      entries.map(([key, value]) => {
        if (typeof value !== 'string') throw nonsense();
        return [key, value];
      }),
    );
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function nonsense(): KilnError {
  return new KilnError('invalid_argument', 'the process of the build file says what makes no sense');
}
