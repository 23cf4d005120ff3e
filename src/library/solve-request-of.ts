import { KilnError } from '../base/errors.ts';
import type { DaemonConnection } from '../client/connect-daemon.ts';
import { outputOf } from '../client/output-of.ts';
import { emptySolve, type SolveRequest } from '../client/solve-request.ts';
import type { SecretSource } from '../client-services/secrets-service.ts';
import type { BuildCache, BuildOptions, BuildOutput, Secret } from './build-options.ts';
import { definitionOf, definitionsOf } from './definition-of.ts';
import { driveBuild } from './drive-build.ts';
import type { Drive, FrontendSource, LocalFrontend, Source } from './gateway.ts';
import { workersOf } from './list-workers.ts';

/** The request of a build. Throws `invalid_argument` for options that make no sense. */
export async function solveRequest(
  connection: DaemonConnection,
  source: Source | Drive | LocalFrontend,
  options: BuildOptions,
): Promise<SolveRequest> {
  const { methods } = options;
  return {
    ...emptySolve,
    source: await requestSource(connection, source, options),
    locals: mapOf(options.locals),
    layouts: mapOf(options.layouts),
    outputs: (options.outputs ?? []).map(output),
    cacheImports: (options.cacheFrom ?? []).map(cache),
    cacheExports: (options.cacheTo ?? []).map(cache),
    secrets: Object.entries(options.secrets ?? {}).map(([id, secret]) => secretSource(id, secret)),
    ssh: (options.ssh ?? []).map(({ id = '', paths = [] }) => ({ id, paths, raw: false })),
    entitlements: options.entitlements ?? [],
    ...(methods && { services: [methods] }),
    ...(options.ref !== undefined && { ref: options.ref }),
  };
}

async function requestSource(
  connection: DaemonConnection,
  source: Source | Drive | LocalFrontend,
  { attributes = {} }: BuildOptions,
): Promise<SolveRequest['source']> {
  if (typeof source === 'function' || 'solve' in source) {
    const workers = await workersOf(connection.transport);
    const request = { options: attributes, inputs: new Map() };
    return {
      kind: 'driven',
      options: attributes,
      drive: (driven) => driveBuild(connection.open, workers, source, request, driven),
    };
  }
  if (isFrontend(source)) {
    const { frontend, options = {}, inputs } = source;
    return {
      kind: 'frontend',
      frontend,
      options: { ...attributes, ...options },
      inputs: definitionsOf(inputs),
    };
  }
  return { kind: 'definition', definition: definitionOf(source), options: attributes };
}

function isFrontend(source: Source): source is FrontendSource {
  return 'frontend' in source;
}

function output({ type, dest, attributes = {} }: BuildOutput) {
  const invalid = (why: string, hint?: string) =>
    new KilnError('invalid_argument', `the output of type ${JSON.stringify(type)}: ${why}`, { hint });
  return outputOf(
    { type, dest, attributes },
    {
      invalid,
      archive: (file) => {
        if (!file) throw invalid('the file is missing', 'give dest, or - for standard output');
        return file === '-' ? { kind: 'stdout' } : { kind: 'path', path: file };
      },
    },
  );
}

function cache({ type, attributes = {} }: BuildCache) {
  return { type, attributes };
}

function secretSource(id: string, secret: Secret): SecretSource {
  if (typeof secret === 'string') return { id, kind: 'value', value: Buffer.from(secret) };
  if (secret instanceof Uint8Array) return { id, kind: 'value', value: secret };
  return 'file' in secret
    ? { id, kind: 'file', path: secret.file }
    : { id, kind: 'environment', variable: secret.env };
}

function mapOf(record: Readonly<Record<string, string>> = {}): ReadonlyMap<string, string> {
  return new Map(Object.entries(record));
}
