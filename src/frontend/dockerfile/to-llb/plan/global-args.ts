import type { Range } from '../../../../base/errors.ts';
import { formatPlatform, type Platform } from '../../../../base/platform.ts';
import type { ProxyEnv } from '../../../../llb/op.ts';
import { atSource, locateIn } from '../../dockerfile-error.ts';
import { expandWord, type Variables } from '../../expand/expand-word.ts';
import { GrowthLimit } from '../../expand/growth-limit.ts';
import type { Dockerfile } from '../../parse/instruction-tree.ts';

/** The arguments that need no declaration, with the client's values where it gives some. */
export function predefinedArgs(
  build: Platform,
  target: Platform,
  stage: string,
  given: ReadonlyMap<string, string>,
): Map<string, string> {
  const args = new Map([
    ...platformArgs('BUILD', build),
    ...platformArgs('TARGET', target),
    ['TARGETSTAGE', stage || 'default'] as const,
  ]);
  for (const name of args.keys()) {
    const value = given.get(name);
    if (value !== undefined) args.set(name, value);
  }
  return args;
}

function platformArgs(prefix: string, platform: Platform): readonly (readonly [string, string])[] {
  const { os, architecture, variant, osVersion } = platform;
  return [
    [`${prefix}PLATFORM`, formatPlatform(platform)],
    [`${prefix}OS`, os],
    [`${prefix}OSVERSION`, osVersion ?? ''],
    [`${prefix}ARCH`, architecture],
    [`${prefix}VARIANT`, variant ?? ''],
  ];
}

/** An `ARG` with the value that it has in this build. */
export interface DeclaredArg {
  readonly name: string;
  readonly value: string | undefined;
  readonly description: string | undefined;
  readonly range: Range;
  /** Names of other arguments that its default uses. */
  readonly uses: ReadonlySet<string>;
}

/**
 * The values of the `ARG`s before the first `FROM`: the client's values, or else the defaults, in which earlier `ARG`s are
 * expanded. `onDeclared` gets each `ARG`.
 */
export function globalArgs(
  dockerfile: Dockerfile,
  predefined: ReadonlyMap<string, string>,
  given: ReadonlyMap<string, string>,
  onDeclared: (arg: DeclaredArg) => void = () => {},
): Map<string, string> {
  const args = new Map(predefined);
  const growth = new GrowthLimit();
  const usesOf = new Map<string, ReadonlySet<string>>();
  for (const { args: declared, range, places } of dockerfile.globalArgs) {
    for (const { name, value, description } of declared) {
      const own = given.get(name);
      let uses: ReadonlySet<string> = new Set();
      if (own !== undefined) args.set(name, own);
      else if (value !== undefined) {
        try {
          const { text, matched } = expandWord(dockerfile.words.get(value), growth.count(variablesOf(args)), {
            locate: locateIn(value, places, dockerfile.source),
          });
          args.set(name, text);
          uses = matched;
          // A default that extends the one before also uses what that one uses.
          if (matched.has(name)) {
            const others = [...matched].filter((other) => other !== name);
            uses = new Set([...others, ...(usesOf.get(name) ?? [])]);
          }
        } catch (error) {
          throw atSource(error, dockerfile.source, [range]);
        }
      }
      usesOf.set(name, uses);
      onDeclared({ name, value: args.get(name), description, range, uses });
    }
  }
  return args;
}

export function variablesOf(values: ReadonlyMap<string, string>): Variables {
  return { get: (name) => values.get(name), names: () => values.keys() };
}

/** The proxies among the client's arguments, whatever the case of their names; undefined without any. */
export function proxyEnvOf(given: ReadonlyMap<string, string>): ProxyEnv | undefined {
  const fields = {
    http_proxy: 'httpProxy',
    https_proxy: 'httpsProxy',
    ftp_proxy: 'ftpProxy',
    no_proxy: 'noProxy',
    all_proxy: 'allProxy',
  } as const;
  const proxies = { httpProxy: '', httpsProxy: '', ftpProxy: '', noProxy: '', allProxy: '' };
  let any = false;
  for (const [name, value] of given) {
    const field = fields[name.toLowerCase() as keyof typeof fields];
    if (!field) continue;
    proxies[field] = value;
    any = true;
  }
  return any ? proxies : undefined;
}
