import type { Digest } from '../base/digest.ts';
import { canonicalDigest } from '../base/text/canonical.ts';

/** A request to a frontend, as far as provenance tells it. */
export interface RequestAccount {
  /** Empty for a client that drove the build itself. */
  readonly frontend: string;
  /** Without what says nothing about the result, but about the machine or what is made with the result. */
  readonly options: ReadonlyMap<string, string>;
  /** The requests whose results the request was given, by the name of the input: those that are known. */
  readonly inputs: ReadonlyMap<string, RequestAccount>;
  /** Names what was requested: equal requests have equal identities. */
  readonly identity: Digest;
}

const aboutMachine: ReadonlySet<string> = new Set([
  'cgroup-parent',
  'image-resolve-mode',
  'platform',
  'cache-imports',
]);
const attestationPrefix = 'attest:';

export function requestAccount(
  frontend: string,
  options: Readonly<Record<string, string>>,
  inputs: RequestAccount['inputs'],
): RequestAccount {
  const told = Object.entries(options)
    .filter(([name]) => !aboutMachine.has(name) && !name.startsWith(attestationPrefix))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const given = [...inputs].map(([name, { identity }]): [string, string] => [name, identity]).sort();
  return {
    frontend,
    options: new Map(told),
    inputs,
    identity: canonicalDigest('request', [frontend, told, given]),
  };
}

/** Whether nothing was requested at all. */
export function isEmptyRequest({ frontend, options, inputs }: RequestAccount): boolean {
  return frontend === '' && options.size === 0 && inputs.size === 0;
}
