import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { type Policy, PolicySchema } from '../../api/gen/policy_pb.js';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { SolveRequest } from '../../client/solve-request.ts';
import { openBuildContext } from './build-context.ts';
import type { BuildFlags } from './build-flags.ts';
import { buildOutputs } from './build-outputs.ts';
import { frontendOptions } from './frontend-options.ts';
import { openNamedContexts } from './named-contexts.ts';
import { ignoringCache, readDefinition } from './read-definition.ts';
import { withAwsCredentials } from './values/aws-credentials.ts';
import { parseExportCache, parseImportCache } from './values/parse-cache.ts';
import { parseRegistryTls } from './values/parse-registry-tls.ts';
import { parseSecret } from './values/parse-secret.ts';
import { parseSsh } from './values/parse-ssh.ts';
import { parsePairs } from './values/parse-values.ts';

/** The process around a command, so far as a request depends on it. */
export interface RequestContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdoutIsTerminal: boolean;
}

/** Disposing removes temporary files that belong to the request. */
export interface PreparedRequest extends AsyncDisposable {
  readonly request: SolveRequest;
  /** The file whose exports are what can be built; the request is for the Dockerfile frontend without one. */
  readonly buildFile?: string;
}

const defaultFrontend = 'dockerfile.v0';
/** Files whose exports are targets. */
const scripts = /\.[cm]?[jt]s$/;
const entitlements = /^(network\.host|security\.insecure|device(=.*)?)$/;

/** What `kiln build` with these flags and this PATH asks for. Throws `invalid_argument` and what looking at the files throws. */
export async function prepareRequest(
  flags: BuildFlags,
  path: string | undefined,
  context: RequestContext,
): Promise<PreparedRequest> {
  const { environment } = context;
  for (const entitlement of flags.allow) {
    if (!entitlements.test(entitlement)) {
      throw new KilnError('invalid_argument', `--allow ${entitlement}: there is no such entitlement`, {
        hint: 'use network.host, security.insecure or device',
      });
    }
  }
  const shared = {
    outputs: buildOutputs(flags, context),
    cacheExports: await Promise.all(
      flags.exportCache.map((text) => withAwsCredentials(parseExportCache(text, environment), environment)),
    ),
    cacheImports: await Promise.all(
      flags.importCache.map((text) => withAwsCredentials(parseImportCache(text, environment), environment)),
    ),
    secrets: flags.secret.map((text) => parseSecret(text, environment)),
    ssh: flags.ssh.map(parseSsh),
    registryTls: parseRegistryTls(flags.registryAuthTlscontext),
    entitlements: flags.network === 'host' ? [...new Set(['network.host', ...flags.allow])] : flags.allow,
    sourcePolicy: flags.sourcePolicyFile ? await readSourcePolicy(flags.sourcePolicyFile) : undefined,
    proxyNetwork: flags.proxyNetwork,
  };
  const locals = parsePairs('--local', flags.local);
  const layouts = parsePairs('--oci-layout', flags.ociLayout);

  const buildFile = flags.frontend === undefined && scripts.test(flags.file ?? '') ? flags.file : undefined;
  if (path === undefined && flags.frontend === undefined && buildFile === undefined) {
    const definition = await definitionFromStdin(flags, context);
    const source = {
      kind: 'definition' as const,
      definition: flags.cache ? definition : ignoringCache(definition),
      options: Object.fromEntries(frontendOptions(flags, environment)),
    };
    return {
      request: { ...shared, source, locals, layouts, uploads: new Map() },
      async [Symbol.asyncDispose]() {},
    };
  }
  const named = await openNamedContexts(flags.buildContext);
  const place = path ?? (buildFile === undefined ? undefined : dirname(buildFile));
  const main = place === undefined ? undefined : await openBuildContext(place, flags.file, context.stdin);
  if (main === undefined && flags.file !== undefined) {
    throw new KilnError('invalid_argument', '--file needs the PATH of a context', {
      hint: 'kiln build --file FILE PATH',
    });
  }
  return {
    request: {
      ...shared,
      source: {
        kind: 'frontend',
        frontend: flags.frontend ?? defaultFrontend,
        options: Object.fromEntries([
          ...(main?.options ?? []),
          ...named.options,
          ...frontendOptions(flags, environment),
        ]),
      },
      locals: new Map([...(main?.locals ?? []), ...named.locals, ...locals]),
      layouts: new Map([...named.layouts, ...layouts]),
      uploads: main?.uploads ?? new Map(),
    },
    ...(buildFile !== undefined && { buildFile }),
    async [Symbol.asyncDispose]() {
      await main?.[Symbol.asyncDispose]();
    },
  };
}

async function definitionFromStdin(flags: BuildFlags, { stdin }: RequestContext) {
  const hint = 'for a Dockerfile, end the command with the PATH of its context, for example: kiln build .';
  if (stdin.isTTY) {
    throw new KilnError(
      'invalid_argument',
      'nothing to build: give a PATH, --frontend, or LLB on standard input',
      {
        hint,
      },
    );
  }
  if (flags.buildArg.length > 0 || flags.file !== undefined || flags.target !== undefined) {
    throw new KilnError('invalid_argument', 'the PATH of the context is missing', { hint });
  }
  return readDefinition(stdin, 'standard input');
}

async function readSourcePolicy(path: string): Promise<Policy> {
  try {
    return fromJson(PolicySchema, policyNames(JSON.parse(await readFile(path, 'utf8'))) as JsonValue);
  } catch (error) {
    throw asKilnError(error).wrap(`--source-policy-file ${path}`);
  }
}

/** The files are written with the short names of Go's JSON; those of protobuf carry the name of their enum. */
function policyNames(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => policyNames(item, key));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, policyNames(item, name)]));
  }
  const prefix = {
    action: 'POLICY_ACTION_',
    matchType: 'MATCH_TYPE_',
    match_type: 'MATCH_TYPE_',
    condition: 'ATTR_MATCH_',
  }[key];
  if (!prefix || typeof value !== 'string' || value.startsWith(prefix)) return value;
  return prefix + value.replace(/^NOTEQUAL$/, 'NOT_EQUAL');
}
