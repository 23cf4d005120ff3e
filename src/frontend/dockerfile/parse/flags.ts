import { ownValue } from '../../../base/own-value.ts';
import { didYouMean } from '../nearest.ts';
import type { Word } from './words.ts';

/**
 * What a flag takes. `boolean`: nothing, `=true` or `=false`. `list`: a value, any number of times. `values`: the only ones that are
 * allowed.
 */
export type FlagSpec =
  | { readonly type: 'boolean' }
  | { readonly type: 'string'; readonly values?: readonly string[] }
  | { readonly type: 'list' };

export type FlagTable = Readonly<Record<string, FlagSpec>>;

/** The values of a table's flags; undefined for those that were not given. */
export type Flags<Table extends FlagTable> = {
  readonly [Name in keyof Table]?: Table[Name] extends { readonly type: 'boolean' }
    ? boolean
    : Table[Name] extends { readonly type: 'list' }
      ? readonly string[]
      : Table[Name] extends { readonly values: readonly (infer Value)[] }
        ? Value
        : string;
};

/** The flags of every instruction that has any. A new flag is a line here, and the code that acts on its value. */
export const flagTables = {
  from: { platform: { type: 'string' } },
  run: {
    mount: { type: 'list' },
    network: { type: 'string', values: ['default', 'none', 'host'] },
    security: { type: 'string', values: ['sandbox', 'insecure'] },
    device: { type: 'list' },
  },
  copy: {
    from: { type: 'string' },
    chown: { type: 'string' },
    chmod: { type: 'string' },
    link: { type: 'boolean' },
    parents: { type: 'boolean' },
    exclude: { type: 'list' },
  },
  add: {
    chown: { type: 'string' },
    chmod: { type: 'string' },
    link: { type: 'boolean' },
    exclude: { type: 'list' },
    checksum: { type: 'string' },
    'keep-git-dir': { type: 'boolean' },
    unpack: { type: 'boolean' },
  },
  healthcheck: {
    interval: { type: 'string' },
    timeout: { type: 'string' },
    'start-period': { type: 'string' },
    'start-interval': { type: 'string' },
    retries: { type: 'string' },
  },
} as const satisfies Readonly<Record<string, FlagTable>>;

export type FlagTables = typeof flagTables;

/** Reads the flags of an instruction. Throws what `fail` makes of a message and the flag that is wrong. */
export function parseFlags<Table extends FlagTable>(
  table: Table,
  words: readonly Word[],
  fail: (message: string, word: Word) => Error,
): Flags<Table> {
  const values: Record<string, boolean | string | readonly string[]> = {};
  const lists = new Map<string, string[]>();
  for (const word of words) {
    const equals = word.text.indexOf('=');
    const flag = equals < 0 ? word.text : word.text.slice(0, equals);
    const value = equals < 0 ? undefined : word.text.slice(equals + 1);
    const name = flag.slice(2);
    const spec = ownValue(table, name);
    if (!spec) throw fail(`unknown flag: ${flag}${didYouMean(name, Object.keys(table))}`, word);
    if (spec.type !== 'list' && name in values) throw fail(`duplicate flag specified: ${flag}`, word);
    if (spec.type === 'boolean') {
      values[name] = parseBoolean(flag, value, (message) => fail(message, word));
      continue;
    }
    if (value === undefined) throw fail(`missing a value on flag: ${flag}`, word);
    if (spec.type === 'list') {
      const list = lists.get(name) ?? [];
      lists.set(name, list);
      list.push(value);
      values[name] = list;
      continue;
    }
    if (spec.values && !spec.values.includes(value)) {
      throw fail(`unsupported ${name} mode ${JSON.stringify(value)}${didYouMean(value, spec.values)}`, word);
    }
    values[name] = value;
  }
  return values as Flags<Table>;
}

function parseBoolean(flag: string, value: string | undefined, fail: (message: string) => Error): boolean {
  switch (value?.toLowerCase()) {
    case undefined:
    case 'true':
      return true;
    case 'false':
      return false;
    case '':
      throw fail(`missing a value on flag: ${flag}`);
    default:
      throw fail(`expecting boolean value for flag ${flag}, not: ${value}`);
  }
}
