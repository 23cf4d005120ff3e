import { isIP } from 'node:net';
import { KilnError } from '../../../../base/errors.ts';
import { ownValue } from '../../../../base/own-value.ts';
import { type Platform, parsePlatforms } from '../../../../base/platform.ts';
import { parseCsv } from '../../../../base/text/csv.ts';
import { cutPair } from '../../../../base/text/cut-pair.ts';
import { parseGoBool } from '../../../../base/text/go-bool.ts';
import type { LinuxResources, NetworkMode } from '../../../../llb/llb.ts';
import type { BridgeSolve } from '../../../frontend.ts';
import { type SbomRequest, sbomRequest } from '../../../sbom-request.ts';
import { type LintSettings, parseLintSettings } from '../../lint/linter.ts';

/** What a client can ask of the Dockerfile frontend, parsed once. */
export interface RequestOptions {
  readonly filename: string;
  readonly target: string;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly labels: Readonly<Record<string, string>>;
  /** Empty: the platform of the machine. */
  readonly platforms: readonly Platform[];
  /** Whether the result names its platforms even if it has only one. */
  readonly multiPlatform: boolean;
  /** Stages whose steps run again whatever is cached. */
  readonly noCache: 'all' | ReadonlySet<string>;
  readonly resolveMode: 'default' | 'pull' | 'local';
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  /** Bytes of `/dev/shm`, 0 for the default. */
  readonly shmSize: number;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent: string;
  readonly hostname: string;
  readonly network: NetworkMode;
  readonly resources: LinuxResources | undefined;
  readonly cacheNamespace: string;
  readonly cacheImports: NonNullable<BridgeSolve['cacheImports']>;
  readonly lint: LintSettings | undefined;
  /** A frontend image to use instead: the value of `BUILDKIT_SYNTAX`. */
  readonly syntax: string | undefined;
  /** Whether a frontend passed the request on: `syntax` has been followed already. */
  readonly forwarded: boolean;
  /** What the client needs and this frontend cannot do. `isForwardable`: another frontend may do it. */
  readonly missingCapability: { readonly id: string; readonly isForwardable: boolean } | undefined;
  /** A question instead of a build: `frontend.lint`. */
  readonly subrequest: string | undefined;
  /** The `context:` options by name. */
  readonly namedContexts: ReadonlyMap<string, string>;
  readonly inputMetadata: ReadonlyMap<string, string>;
  readonly sharedKeys: ReadonlyMap<string, string>;
  readonly localSessionIds: ReadonlyMap<string, string>;
  readonly sbom: SbomRequest | undefined;
  readonly context: {
    /** The client's name for its build context, or a URL in the option of that name. */
    readonly remote: string | undefined;
    readonly subdir: string | undefined;
    readonly keepGitDir: boolean;
    /** The client's name for the directory with the Dockerfile, when it says so. */
    readonly dockerfileName: string | undefined;
  };
}

/** Parses the options of a request. Throws `invalid_argument` naming the option. */
export function parseRequestOptions(options: Readonly<Record<string, string>>): RequestOptions {
  const get = (name: string) => ownValue(options, name);
  const withPrefix = (prefix: string) =>
    new Map(
      Object.keys(options)
        .filter((name) => name.startsWith(prefix))
        .sort()
        .map((name) => [name.slice(prefix.length), options[name]!]),
    );
  const buildArgs = withPrefix('build-arg:');
  const platform = get('platform');
  const platforms = platform ? parsePlatforms(platform) : [];
  const contextKey = get('contextkey') ?? 'context';
  const check = buildArgs.get('BUILDKIT_DOCKERFILE_CHECK');
  return {
    filename: get('filename') ?? 'Dockerfile',
    target: get('target') ?? '',
    buildArgs,
    labels: Object.fromEntries(withPrefix('label:')),
    platforms,
    multiPlatform: parseMultiPlatform(
      buildArgs.get('BUILDKIT_MULTI_PLATFORM') || get('multi-platform'),
      platforms.length,
    ),
    noCache: parseNoCache(get('no-cache')),
    resolveMode: oneOf('image-resolve-mode', get('image-resolve-mode') || 'default', [
      'default',
      'pull',
      'local',
    ]),
    extraHosts: parseExtraHosts(get('add-hosts')),
    shmSize: parseInteger('shm-size', get('shm-size')),
    ulimits: parseUlimits(get('ulimit')),
    cgroupParent: get('cgroup-parent') ?? '',
    hostname: buildArgs.get('BUILDKIT_SANDBOX_HOSTNAME') || (get('hostname') ?? ''),
    network: oneOf('force-network-mode', get('force-network-mode') || 'sandbox', ['sandbox', 'host', 'none']),
    resources: parseResources(get),
    cacheNamespace: buildArgs.get('BUILDKIT_CACHE_MOUNT_NS') ?? '',
    cacheImports: parseCacheImports(get('cache-imports'), get('cache-from')),
    lint: check === undefined ? undefined : parseLintSettings(check),
    syntax: buildArgs.get('BUILDKIT_SYNTAX') || undefined,
    forwarded: get('cmdline') !== undefined,
    missingCapability: parseCapabilities(get('frontend.caps')),
    subrequest: get('requestid'),
    namedContexts: withPrefix('context:'),
    inputMetadata: withPrefix('input-metadata:'),
    sharedKeys: withPrefix('sharedkey:localdir:'),
    localSessionIds: withPrefix('local-sessionid:'),
    sbom: sbomRequest(options),
    context: {
      remote: get(contextKey),
      subdir: get('contextsubdir'),
      keepGitDir: parseGoBool(buildArgs.get('BUILDKIT_CONTEXT_KEEP_GIT_DIR') ?? '') ?? false,
      dockerfileName: get('dockerfilekey'),
    },
  };
}

function invalid(option: string, value: string, hint?: string): KilnError {
  return new KilnError('invalid_argument', `invalid value ${JSON.stringify(value)} for option ${option}`, {
    hint,
  });
}

function oneOf<const Value extends string>(option: string, value: string, allowed: readonly Value[]): Value {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw invalid(option, value, `it can be ${allowed.join(', ')}`);
  return found;
}

function parseInteger(option: string, value: string | undefined): number {
  if (!value) return 0;
  if (!/^[+-]?\d+$/.test(value)) throw invalid(option, value, 'it is a whole number');
  return Number(value);
}

/** What this frontend can do beyond the oldest one, by the names that clients use. */
const frontendCapabilities: ReadonlySet<string> = new Set(
  ['inputs', 'subrequests', 'contexts', 'gitquerystring'].map((name) => `moby.buildkit.frontend.${name}`),
);

/** The first missing capability; those that no other frontend can provide come first. */
function parseCapabilities(value: string | undefined): RequestOptions['missingCapability'] {
  const missing = (value ? value.split(',') : [])
    .map((text) => ({ id: text.split('+')[0]!, isForwardable: text.includes('+forward') }))
    .filter(({ id }) => !frontendCapabilities.has(id));
  return missing.find(({ isForwardable }) => !isForwardable) ?? missing[0];
}

function parseMultiPlatform(value: string | undefined, platforms: number): boolean {
  if (!value) return platforms > 1;
  const wanted = parseGoBool(value);
  if (wanted === undefined) throw invalid('multi-platform', value, 'it is true or false');
  if (!wanted && platforms > 1) {
    throw new KilnError(
      'invalid_argument',
      'conflicting config: returning multiple target platforms is not allowed',
      { hint: 'build for one platform, or leave multi-platform out' },
    );
  }
  return wanted;
}

function parseNoCache(value: string | undefined): 'all' | ReadonlySet<string> {
  if (value === undefined) return new Set();
  return value === '' ? 'all' : new Set(value.toLowerCase().split(','));
}

function parseExtraHosts(value: string | undefined): RequestOptions['extraHosts'] {
  if (!value) return [];
  return parseCsv(value).map((field) => {
    const pair = cutPair(field.toLowerCase());
    if (!pair || isIP(pair[1]) === 0) throw invalid('add-hosts', field, 'write it as name=address');
    const [host, ip] = pair;
    return { host, ip };
  });
}

/** The limits of setrlimit(2). */
const limits: ReadonlySet<string> = new Set(
  'core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(
    ' ',
  ),
);

/** `name=soft[:hard]`, -1 for no limit. */
function parseUlimits(value: string | undefined): RequestOptions['ulimits'] {
  if (!value) return [];
  return parseCsv(value).map((field) => {
    const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(field);
    if (match && !limits.has(match[1]!)) {
      throw invalid('ulimit', field, `it can be ${[...limits].join(', ')}`);
    }
    if (!match) throw invalid('ulimit', field, 'write it as name=soft:hard');
    const soft = Number(match[2]);
    const hard = match[3] === undefined ? soft : Number(match[3]);
    if (hard !== -1 && (soft === -1 || soft > hard)) {
      throw invalid('ulimit', field, 'the soft limit must not be above the hard one');
    }
    return { name: match[1]!, soft, hard };
  });
}

function parseResources(get: (name: string) => string | undefined): LinuxResources | undefined {
  const names = ['memory', 'memswap', 'cpushares', 'cpuperiod', 'cpuquota', 'cpusetcpus', 'cpusetmems'];
  if (!names.some((name) => get(name))) return undefined;
  const positive = (name: string) => {
    const value = parseInteger(name, get(name));
    if (get(name) && value <= 0 && !(name === 'memswap' && value === -1)) {
      throw invalid(name, get(name)!, 'it has to be above 0');
    }
    return value;
  };
  const set = (name: string) => {
    const value = get(name) ?? '';
    if (value !== '' && !/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(value)) {
      throw invalid(name, value, 'write it as 0-3,5');
    }
    return value;
  };
  return {
    memory: positive('memory'),
    memorySwap: positive('memswap'),
    cpuShares: positive('cpushares'),
    cpuPeriod: positive('cpuperiod'),
    cpuQuota: positive('cpuquota'),
    cpusetCpus: set('cpusetcpus'),
    cpusetMems: set('cpusetmems'),
  };
}

/** Says nothing of the value, which may have keys and tokens in it. */
function notCaches(): KilnError {
  return new KilnError('invalid_argument', 'option cache-imports is not a list of caches', {
    hint: 'it is a JSON array, whose items have a Type, and Attrs that are texts',
  });
}

function parseCacheImports(
  json: string | undefined,
  references: string | undefined,
): RequestOptions['cacheImports'] {
  const imports: { type: string; attrs: Record<string, string> }[] = [];
  if (json) {
    let parsed: unknown;
    try {
      parsed = JSON.parse(json);
    } catch (cause) {
      throw new KilnError('invalid_argument', 'option cache-imports is not JSON', { cause });
    }
    if (!Array.isArray(parsed)) throw notCaches();
    for (const entry of parsed as readonly unknown[]) {
      const { Type = '', Attrs = {} } = (entry ?? {}) as Readonly<Record<string, unknown>>;
      const attrs = Object.entries(Attrs ?? {});
      if (typeof Type !== 'string' || attrs.some(([, value]) => typeof value !== 'string')) throw notCaches();
      imports.push({ type: Type, attrs: Object.fromEntries(attrs) });
    }
  }
  for (const ref of references ? references.split(',') : [])
    imports.push({ type: 'registry', attrs: { ref } });
  return imports;
}
