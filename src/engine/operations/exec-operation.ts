import { randomBytes } from 'node:crypto';
import path from 'node:path/posix';
import { unixPath, windowsPath } from '../../base/default-path.ts';
import { normalizePlatform, type Platform } from '../../base/platform.ts';
import { canonicalDigest, type Plain } from '../../base/text/canonical.ts';
import type { ContentSelection } from '../../content-hash/checksum.ts';
import type { OpVertex } from '../../llb/graph.ts';
import { type ExecMeta, type ExecMount, type ExecOp, noIndex } from '../../llb/op.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheMap, OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { BuildOperation } from './build-operation.ts';
import { cacheInputs } from './cache-inputs.ts';
import { ExecMounts } from './exec-mounts.ts';
import type { InputFiles } from './input-files.ts';
import type { OperationServices } from './operation-services.ts';

const rootDest = '/';

/** Runs a process. Inputs that it can only read, and not at `/`, count by content. */
export class ExecOperation implements BuildOperation {
  readonly #op: ExecOp;
  readonly #platform: Platform;
  readonly #vertex: OpVertex;
  readonly #inputs: readonly InputFiles[];
  readonly #services: OperationServices;

  constructor(
    op: ExecOp,
    platform: Platform,
    vertex: OpVertex,
    inputs: readonly InputFiles[],
    services: OperationServices,
  ) {
    this.#op = op;
    this.#platform = platform;
    this.#vertex = vertex;
    this.#inputs = inputs;
    this.#services = services;
  }

  async cacheMap(): Promise<CacheMap<ImmutableRef, JobContext>> {
    const inputs = cacheInputs(
      this.#services.checksums,
      this.#inputs,
      execSelections(this.#op, this.#inputs.length),
      (index) => ({ selector: definitionSelector(this.#op.mounts.filter(({ input }) => input === index)) }),
    );
    return { digest: canonicalDigest('exec', execIdentity(this.#op, this.#platform)), inputs };
  }

  async execute(
    context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    const { meta, network, security, secretEnv } = this.#op;
    const command = meta.args.join(' ');
    await using mounts = await ExecMounts.prepare(this.#op, inputs, this.#services, context);
    const secrets = await Promise.all(
      secretEnv.map(async ({ id, name, optional }) => {
        const value = await mounts.secret(id, optional);
        return value === undefined ? [] : [`${name}=${Buffer.from(value).toString('utf8')}`];
      }),
    );
    const container = randomBytes(12).toString('hex');
    using _ = context.waitsFor(`the process ${JSON.stringify(command)} in container ${container}`);
    await this.#services.executor.run(
      {
        id: container,
        rootfs: mounts.rootfs,
        platform: this.#platform,
        mounts: mounts.others,
        args: meta.args,
        env: [...environment(meta, this.#platform), ...secrets.flat()],
        cwd: meta.cwd || '/',
        user: meta.user,
        hostname: meta.hostname,
        extraHosts: meta.extraHosts,
        network,
        security,
        readonlyRoot: mounts.readonlyRoot,
        ulimits: meta.ulimits,
        cgroupParent: meta.cgroupParent,
        devices: this.#op.devices,
        resources: this.#vertex.metadata.resources,
        validExitCodes: meta.validExitCodes,
        removeMountStubsRecursive: meta.removeMountStubsRecursive,
      },
      {
        onOutput: (stream, data) => context.progress.log(stream, data),
        signal: context.signal,
      },
    );
    return await mounts.commit();
  }
}

/** Everything that decides what the process does, besides its inputs. Proxies do not: they lead to the same files. */
function execIdentity(op: ExecOp, platform: Platform): Plain {
  const { proxyEnv: _, ...meta } = op.meta;
  const { os, architecture, variant } = normalizePlatform(platform);
  return {
    meta: meta as unknown as Plain,
    mounts: op.mounts.map(
      ({ selector: _selector, contentCache: _cache, resultId: _id, ...mount }) => mount,
    ) as unknown as Plain,
    network: op.network,
    security: op.security,
    secretEnv: op.secretEnv as unknown as Plain,
    devices: op.devices as unknown as Plain,
    platform: { os, architecture, variant },
  };
}

/** What is read of each input; undefined for those that count by their definition alone. */
export function execSelections(
  { mounts }: ExecOp,
  inputs: number,
): readonly (readonly ContentSelection[] | undefined)[] {
  return Array.from({ length: inputs }, (_, index) => {
    const own = mounts.filter(({ input }) => input === index);
    return own.length > 0 && own.every(countsByContent) ? own.map(selectionOf) : undefined;
  });
}

function countsByContent(mount: ExecMount): boolean {
  switch (mount.contentCache) {
    case 'on':
      return true;
    case 'off':
      return false;
    case 'default':
      return mount.output === noIndex || (mount.readonly && mount.dest !== rootDest);
  }
}

function selectionOf(mount: ExecMount): ContentSelection {
  return {
    path: path.join('/', mount.selector),
    wildcard: false,
    followLinks: true,
    includePatterns: [],
    excludePatterns: [],
  };
}

function definitionSelector(mounts: readonly ExecMount[]) {
  const paths = [...new Set(mounts.map(({ selector }) => path.join('/', selector)))].sort();
  return paths.every((each) => each === '/') ? undefined : canonicalDigest('paths', paths);
}

function environment(meta: ExecMeta, platform: Platform): readonly string[] {
  const env = [...meta.env];
  const has = (name: string) => env.some((entry) => entry.startsWith(`${name}=`));
  const proxies = meta.proxyEnv;
  if (proxies) {
    const names = {
      HTTP_PROXY: proxies.httpProxy,
      HTTPS_PROXY: proxies.httpsProxy,
      FTP_PROXY: proxies.ftpProxy,
      NO_PROXY: proxies.noProxy,
      ALL_PROXY: proxies.allProxy,
    };
    for (const [name, value] of Object.entries(names)) {
      if (value !== '') env.push(`${name}=${value}`, `${name.toLowerCase()}=${value}`);
    }
  }
  const searchPath = defaultPath(platform);
  if (searchPath !== undefined && !has('PATH')) env.push(`PATH=${searchPath}`);
  return env;
}

function defaultPath({ os }: Platform): string | undefined {
  if (os === 'linux') return unixPath;
  return os === 'windows' ? windowsPath : undefined;
}
