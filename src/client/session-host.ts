import { stat } from 'node:fs/promises';
import { asKilnError, errnoOf, KilnError } from '../base/errors.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { authService } from '../client-services/auth-service.ts';
import { contentService } from '../client-services/content-service.ts';
import { healthService } from '../client-services/health-service.ts';
import { secretsService } from '../client-services/secrets-service.ts';
import { sourcePolicyService } from '../client-services/source-policy-service.ts';
import { openSshService } from '../client-services/ssh-service.ts';
import { uploadService } from '../client-services/upload-service.ts';
import { type ClientSink, fileSendService } from '../file-sync/file-send-service.ts';
import { fileSyncService } from '../file-sync/file-sync-service.ts';
import { createServiceHost, type Service, type ServiceHost } from '../session/service-host.ts';
import { type FileOutput, openFileOutput } from './file-output.ts';
import { resolveLayoutTag } from './layout-index.ts';
import { withMountsDigest } from './mounts-digest.ts';
import type { RemoteCache, SolveRequest } from './solve-request.ts';

/** What the client offers to the engine during one solve. Disposing ends what serves it and removes incomplete outputs. */
export interface SessionHost extends AsyncDisposable {
  readonly services: ServiceHost;
  /** The remote caches to look in; local ones that are empty are left out. */
  readonly cacheImports: readonly RemoteCache[];
  /** What went wrong on this side while outputs were received, if anything did. */
  readonly failure: KilnError | undefined;
  /** Puts the outputs into their places, once the solve has succeeded. */
  finish(): Promise<void>;
}

/** Throws when something that the request offers does not exist, or an output cannot be received. */
export async function openSessionHost(request: SolveRequest): Promise<SessionHost> {
  await using opened = new AsyncDisposableStack();
  const pool = opened.use(new ThreadPool({ shared: true }));
  await checkInputs(request);
  const cacheImports = await availableImports(request.cacheImports);
  const files: FileOutput[] = [];
  const sinks = await openSinks(request, (file) => files.push(opened.use(file)));

  const services: Service[] = [
    healthService(),
    authService({ tls: request.registryTls }),
    ...(request.services ?? []),
  ];
  if (request.locals.size > 0) services.push(fileSyncService(request.locals, { pool }));
  if (request.uploads.size > 0) services.push(uploadService(request.uploads));
  if (request.secrets.length > 0) services.push(secretsService(request.secrets));
  if (request.ssh.length > 0) services.push(opened.use(await openSshService(request.ssh)).service);
  if (sinks.size > 0) services.push(fileSendService(sinks, { pool }));
  if (request.decideSource) services.push(sourcePolicyService(request.decideSource));
  const layouts = contentStores(request, cacheImports);
  if (layouts.size > 0) services.push(contentService(layouts));

  const resources = opened.move();
  return {
    services: createServiceHost(services),
    cacheImports,
    get failure() {
      return files.find((file) => file.failure)?.failure;
    },
    async finish() {
      for (const file of files) await file.commit();
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function openSinks(
  { outputs }: SolveRequest,
  own: (file: FileOutput) => void,
): Promise<ReadonlyMap<number, ClientSink>> {
  const sinks = new Map<number, ClientSink>();
  for (const [index, output] of outputs.entries()) {
    switch (output.kind) {
      case 'file': {
        const file = await openFileOutput(output.destination);
        own(file);
        sinks.set(index, { kind: 'file', open: () => file.open() });
        break;
      }
      case 'directory':
        sinks.set(index, { kind: 'directory', path: output.path, mirror: output.remove });
        break;
      case 'layout':
      case 'engine':
        break;
    }
  }
  return sinks;
}

/** The stores' names are those under which engines ask for them. */
function contentStores(
  request: SolveRequest,
  cacheImports: readonly RemoteCache[],
): ReadonlyMap<string, string> {
  const stores = new Map<string, string>();
  for (const [name, directory] of request.layouts) stores.set(`oci:${name}`, directory);
  for (const { type, attributes } of cacheImports) {
    if (type === 'local') stores.set(`local:${attributes.src}`, attributes.src!);
  }
  for (const { type, attributes } of request.cacheExports) {
    if (type !== 'local') continue;
    if (!attributes.dest)
      throw new KilnError('invalid_argument', 'a cache export of type local needs dest=DIRECTORY');
    stores.set(`local:${attributes.dest}`, attributes.dest);
  }
  for (const output of request.outputs) {
    if (output.kind !== 'layout') continue;
    if (stores.has('export')) {
      throw new KilnError(
        'invalid_argument',
        'only one output of a build can be an OCI layout in a directory',
      );
    }
    stores.set('export', output.path);
  }
  return stores;
}

/** Local caches get the digest their tag stands for; those that do not exist yet have nothing to give. */
async function availableImports(imports: readonly RemoteCache[]): Promise<readonly RemoteCache[]> {
  const available: RemoteCache[] = [];
  for (const cache of imports) {
    const { src, tag = 'latest', digest } = cache.attributes;
    if (cache.type !== 'local' || digest) available.push(cache);
    else {
      if (!src) throw new KilnError('invalid_argument', 'a cache import of type local needs src=DIRECTORY');
      try {
        const resolved = await resolveLayoutTag(src, tag);
        const found = { ...cache, attributes: { ...cache.attributes, digest: resolved } };
        available.push(cache.attributes.mounts === undefined ? found : await withMountsDigest(found));
      } catch (error) {
        if (asKilnError(error).code !== 'not_found') throw error;
      }
    }
  }
  return available;
}

async function checkInputs({ locals, layouts, secrets }: SolveRequest): Promise<void> {
  for (const [name, path] of locals) await check(`the local directory ${name}`, path, true);
  for (const [name, path] of layouts) await check(`the OCI layout ${name}`, path, true);
  for (const secret of secrets) {
    if (secret.kind === 'file') await check(`the secret ${secret.id}`, secret.path, false);
    else if (secret.kind === 'environment' && process.env[secret.variable] === undefined) {
      throw new KilnError('not_found', `the secret ${secret.id}: $${secret.variable} is not set`);
    }
  }
}

async function check(what: string, path: string, directory: boolean): Promise<void> {
  const found = await stat(path).catch((error) => {
    if (errnoOf(error) !== 'ENOENT') throw asKilnError(error).wrap(what);
    throw new KilnError('not_found', `${what}: ${path} does not exist`);
  });
  if (found.isDirectory() !== directory) {
    throw new KilnError(
      'invalid_argument',
      `${what}: ${path} is ${directory ? 'not' : ''} a directory`.replace('  ', ' '),
    );
  }
}
