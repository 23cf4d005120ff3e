import { KilnError } from '../../../../base/errors.ts';
import { ownValue } from '../../../../base/own-value.ts';
import { parseByteSize } from '../../../../base/text/byte-size.ts';
import { parseGoBool } from '../../../../base/text/go-bool.ts';
import type { CacheSharing } from '../../../../llb/llb.ts';
import { didYouMean } from '../../nearest.ts';
import type { MountFlag } from './mount-flag.ts';

/** A `RUN --mount` with its variables expanded. `size` in bytes; `mode`, `uid` and `gid` undefined when not given. */
export interface RunMount {
  readonly type: MountType;
  readonly from: string;
  readonly source: string;
  readonly target: string;
  readonly readonly: boolean;
  readonly size: number;
  readonly id: string;
  readonly sharing: CacheSharing | undefined;
  readonly required: boolean;
  /** The environment variable a secret becomes. */
  readonly env: string | undefined;
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

type MountType = 'bind' | 'cache' | 'tmpfs' | 'secret' | 'ssh';

type Draft = { -readonly [Key in keyof RunMount]: RunMount[Key] } & { readonlySet: boolean };

const types: readonly MountType[] = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'];
const sharings: readonly CacheSharing[] = ['shared', 'private', 'locked'];

/** How each option's value is read. A new option is a line here. Aliases follow. */
const options: Readonly<Record<string, (mount: Draft, value: string, key: string) => void>> = {
  type: (mount, value) => {
    mount.type = oneOf('mount type', value, types);
  },
  from: (mount, value) => {
    mount.from = value;
  },
  source: (mount, value) => {
    mount.source = value;
  },
  target: (mount, value) => {
    mount.target = value;
  },
  readonly: (mount, value, key) => {
    mount.readonly = truth(key, value);
    mount.readonlySet = true;
  },
  readwrite: (mount, value, key) => {
    mount.readonly = !truth(key, value);
    mount.readonlySet = true;
  },
  required: (mount, value, key) => {
    only(mount, key, 'secret', 'ssh');
    mount.required = truth(key, value);
  },
  size: (mount, value, key) => {
    only(mount, key, 'tmpfs');
    mount.size = Math.floor(parseByteSize(value) ?? fail(`invalid value for ${key}: ${value}`));
  },
  id: (mount, value) => {
    mount.id = value;
  },
  sharing: (mount, value) => {
    mount.sharing = oneOf('sharing value', value, sharings);
  },
  mode: (mount, value) => {
    mount.mode = number(value, 8) ?? fail(`invalid value ${value} for mode`);
  },
  uid: (mount, value) => {
    mount.uid = number(value, 10) ?? fail(`invalid value ${value} for uid`);
  },
  gid: (mount, value) => {
    mount.gid = number(value, 10) ?? fail(`invalid value ${value} for gid`);
  },
  env: (mount, value) => {
    mount.env = value;
  },
};

const aliases: Readonly<Record<string, string>> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'readonly',
  rw: 'readwrite',
};

/** Keys that can stand without a value. */
const switches: ReadonlySet<string> = new Set(['readonly', 'readwrite', 'required']);

/** What a mount is; `expand` expands the variables of a value. Throws `invalid_argument` for an option that is wrong. */
export function resolveRunMount({ fields }: MountFlag, expand: (value: string) => string): RunMount {
  const mount: Draft = {
    type: 'bind',
    from: '',
    source: '',
    target: '',
    readonly: true,
    readonlySet: false,
    size: 0,
    id: '',
    sharing: undefined,
    required: false,
    env: undefined,
    mode: undefined,
    uid: undefined,
    gid: undefined,
  };
  for (const { text, key: written, value } of fields) {
    const key = ownValue(aliases, written) ?? written;
    const read = ownValue(options, key);
    if (!read) {
      const known = [...Object.keys(options), ...Object.keys(aliases)];
      fail(`unexpected key '${written}' in '${text}'${didYouMean(written, known)}`);
    }
    if (value === undefined && !switches.has(key)) fail(`invalid field '${text}' must be a key=value pair`);
    read(mount, value === undefined ? 'true' : expand(value), written);
  }
  check(mount);
  const { readonlySet, ...rest } = mount;
  return {
    ...rest,
    readonly: readonlySet ? rest.readonly : rest.type !== 'cache' && rest.type !== 'tmpfs',
  };
}

function check(mount: Draft): void {
  const { type } = mount;
  for (const key of ['mode', 'uid', 'gid'] as const) {
    if (mount[key] !== undefined && (type === 'bind' || type === 'tmpfs')) {
      fail(`${key} not allowed for "${type}" type mounts`);
    }
  }
  if (type === 'secret') {
    if (mount.from !== '') fail('secret mount should not have a from');
    if (mount.sharing !== undefined) fail('secret mount should not define sharing');
    if (mount.source === '' && mount.target === '' && mount.id === '') {
      fail('invalid secret mount. one of source, target required');
    }
    if (mount.source !== '' && mount.id !== '') fail("both source and id can't be set");
  }
  if (mount.sharing !== undefined && type !== 'cache') fail(`invalid cache sharing set for ${type} mount`);
}

function only(mount: Draft, key: string, ...allowed: readonly MountType[]): void {
  if (!allowed.includes(mount.type)) fail(`unexpected key '${key}' for mount type '${mount.type}'`);
}

function oneOf<Value extends string>(what: string, value: string, allowed: readonly Value[]): Value {
  const found = allowed.find((candidate) => candidate === value.toLowerCase());
  return found ?? fail(`unsupported ${what} ${JSON.stringify(value)}${didYouMean(value, allowed)}`);
}

function truth(key: string, value: string): boolean {
  return parseGoBool(value) ?? fail(`invalid value for ${key}: ${value}`);
}

function number(value: string, radix: 8 | 10): number | undefined {
  const digits = radix === 8 ? /^[0-7]+$/ : /^\d+$/;
  const parsed = digits.test(value) ? Number.parseInt(value, radix) : Number.NaN;
  return parsed <= 0xffffffff ? parsed : undefined;
}

function fail(message: string): never {
  throw new KilnError('invalid_argument', message);
}
