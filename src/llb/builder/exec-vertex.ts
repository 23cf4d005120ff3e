import { KilnError } from '../../base/errors.ts';
import type { LinuxResources } from '../../base/linux-resources.ts';
import { compareUtf8 } from '../../base/text/compare-utf8.ts';
import type { CacheSharing, ExecMount, Op, ProxyEnv } from '../op.ts';
import { noIndex } from '../op.ts';
import { type Capability, capabilities } from '../vertex-capabilities.ts';
import type { DescribedTree, ProcessOptions } from './described-tree.ts';
import { InputList, opVertex, type Vertex, type VertexOptions } from './vertex.ts';

export interface ExecOptions extends VertexOptions, ProcessOptions {
  readonly mounts?: readonly MountSpec[];
  readonly secrets?: readonly SecretSpec[];
  readonly ssh?: readonly SshSpec[];
  /** Devices by their CDI names. */
  readonly devices?: readonly { readonly name: string; readonly optional?: boolean }[];
  /** What is left out is empty. */
  readonly proxyEnv?: Partial<ProxyEnv>;
  readonly readonlyRoot?: boolean;
  /** Exit codes that count as success; by default only 0. */
  readonly validExitCodes?: readonly number[];
  /** What is left out has no limit. Not part of the vertex's identity. */
  readonly resources?: Partial<LinuxResources>;
}

/** A tree to mount. Without `from` it is empty. */
export interface MountSpec {
  /** Absolute. */
  readonly dest: string;
  readonly from?: DescribedTree;
  /** A path in `from` to mount instead of its root. */
  readonly selector?: string;
  readonly readonly?: boolean;
  /** Whether what the process writes there is thrown away. */
  readonly noOutput?: boolean;
  readonly contentCache?: ExecMount['contentCache'];
  readonly type?:
    | { readonly kind: 'bind' }
    /** `size` in bytes, by default without a limit. */
    | { readonly kind: 'tmpfs'; readonly size?: number }
    /** `shared` by default. */
    | { readonly kind: 'cache'; readonly id: string; readonly sharing?: CacheSharing };
}

/** A secret as a file, as an environment variable, or both. */
export interface SecretSpec {
  readonly id: string;
  readonly dest?: string;
  readonly env?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Permission bits; 0400 by default. */
  readonly mode?: number;
  readonly optional?: boolean;
}

export interface SshSpec {
  /** Empty for the client's default agent. */
  readonly id?: string;
  /** `/run/buildkit/ssh_agent.N` by default. */
  readonly dest?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Permission bits; 0600 by default. */
  readonly mode?: number;
  readonly optional?: boolean;
}

/** The vertex of a process, and which of its outputs each destination became: the first one of mounts at the same place. Throws `invalid_argument`. */
export function execVertex(
  root: DescribedTree,
  args: readonly string[],
  options: ExecOptions,
): { readonly vertex: Vertex; readonly outputs: ReadonlyMap<string, number> } {
  if (args.length === 0) throw new KilnError('invalid_argument', 'a process needs at least one argument');
  const rootMount: MountSpec = { dest: '/', from: root, readonly: options.readonlyRoot };
  // The order of mounts is part of the vertex's identity: by destination, as in BuildKit's own clients.
  const mounts = [rootMount, ...(options.mounts ?? [])].sort((a, b) => compareUtf8(a.dest, b.dest));
  const outputs = new Map<string, number>();
  let count = 0;
  const numbered = mounts.map((mount) => {
    checkMount(mount);
    if (!yieldsOutput(mount)) return { mount, output: noIndex };
    const output = count++;
    if (!outputs.has(mount.dest)) outputs.set(mount.dest, output);
    return { mount, output };
  });
  const ssh = (options.ssh ?? []).map((spec, at) => ({
    ...spec,
    dest: spec.dest || `/run/buildkit/ssh_agent.${at}`,
  }));
  const { settings } = root;
  const env = new Map(settings.env);
  if (ssh[0] && !env.has('SSH_AUTH_SOCK')) env.set('SSH_AUTH_SOCK', ssh[0].dest);
  const secrets = options.secrets ?? [];
  const { resources, ...about } = options;
  const vertex = opVertex(
    mounts.map(({ from }) => from?.output),
    { ...about, ...(resources && { resources: { ...noLimits, ...resources } }) },
    needsOf(root, mounts, options),
    (names): Op => {
      const inputs = new InputList(names);
      return {
        platform: options.platform ?? settings.platform ?? names.platform,
        constraints: options.constraints ?? [],
        action: {
          kind: 'exec',
          meta: {
            args,
            env: names.env(env),
            cwd: settings.dir,
            user: settings.user,
            ...(options.proxyEnv && { proxyEnv: { ...noProxy, ...options.proxyEnv } }),
            extraHosts: settings.extraHosts,
            hostname: settings.hostname,
            ulimits: settings.ulimits,
            cgroupParent: settings.cgroupParent,
            removeMountStubsRecursive: true,
            validExitCodes: options.validExitCodes ?? [],
          },
          mounts: [
            ...numbered.map(({ mount, output }) => ({
              input: inputs.add(mount.from?.output),
              selector: mount.selector ?? '',
              dest: mount.dest,
              output,
              readonly: mount.readonly ?? false,
              resultId: '',
              contentCache: mount.contentCache ?? 'default',
              type: mountType(mount),
            })),
            ...secrets
              .filter(({ dest }) => dest !== undefined)
              .map((secret) => clientMount(secret.dest!, { kind: 'secret', ...access(secret, 0o400) })),
            ...ssh.map((spec) =>
              clientMount(spec.dest, { kind: 'ssh', ...access({ id: '', ...spec }, 0o600) }),
            ),
          ],
          network: settings.network,
          security: settings.security,
          secretEnv: secrets
            .filter((secret) => secret.env !== undefined)
            .map((secret) => ({ id: secret.id, name: secret.env!, optional: secret.optional ?? false })),
          devices: (options.devices ?? []).map(({ name, optional = false }) => ({ name, optional })),
        },
        inputs: inputs.list,
      };
    },
  );
  return { vertex, outputs };
}

const noProxy: ProxyEnv = { httpProxy: '', httpsProxy: '', ftpProxy: '', noProxy: '', allProxy: '' };

const noLimits: LinuxResources = {
  memory: 0,
  memorySwap: 0,
  cpuShares: 0,
  cpuPeriod: 0,
  cpuQuota: 0,
  cpusetCpus: '',
  cpusetMems: '',
};

function mountType({ type = { kind: 'bind' } }: MountSpec): ExecMount['type'] {
  switch (type.kind) {
    case 'bind':
      return type;
    case 'tmpfs':
      return { kind: 'tmpfs', size: type.size ?? 0 };
    case 'cache':
      return { kind: 'cache', id: type.id, sharing: type.sharing ?? 'shared' };
  }
}

function checkMount({ dest, from, type }: MountSpec): void {
  if (type?.kind !== 'tmpfs' || !from?.output) return;
  throw new KilnError('invalid_argument', `the mount at ${dest} is a tmpfs, which begins without files`);
}

function yieldsOutput(mount: MountSpec): boolean {
  return !mount.noOutput && !mount.readonly && (mount.type?.kind ?? 'bind') === 'bind';
}

/** A mount that the client's session provides. BuildKit's clients leave its output index at 0. */
function clientMount(dest: string, type: ExecMount['type']): ExecMount {
  return {
    input: noIndex,
    selector: '',
    dest,
    output: 0,
    readonly: false,
    resultId: '',
    contentCache: 'default',
    type,
  };
}

function access(spec: Omit<SecretSpec, 'dest' | 'env'>, defaultMode: number) {
  return {
    id: spec.id,
    uid: spec.uid ?? 0,
    gid: spec.gid ?? 0,
    mode: spec.mode ?? defaultMode,
    optional: spec.optional ?? false,
  };
}

function needsOf(root: DescribedTree, mounts: readonly MountSpec[], options: ExecOptions): Set<Capability> {
  const needs = new Set<Capability>([capabilities.execBase, capabilities.execDefaultPath]);
  const need = (condition: unknown, ...wanted: Capability[]) => {
    if (condition) for (const capability of wanted) needs.add(capability);
  };
  const { settings } = root;
  need(settings.network !== 'sandbox', capabilities.execNetwork);
  need(settings.security !== 'sandbox', capabilities.execSecurity);
  need(settings.ulimits.length > 0, capabilities.execUlimit);
  need(options.proxyEnv, capabilities.execProxyEnv);
  need(options.validExitCodes?.length, capabilities.execValidExitCodes);
  need(options.resources, capabilities.execResources);
  need(options.devices?.length, capabilities.execDevices);
  need(options.secrets?.length, capabilities.mountSecret);
  need(
    options.secrets?.some(({ env }) => env !== undefined),
    capabilities.execSecretEnv,
  );
  need(options.ssh?.length, capabilities.mountSsh);
  for (const mount of mounts) {
    need(mount.selector, capabilities.mountSelector);
    need(mount.contentCache && mount.contentCache !== 'default', capabilities.mountContentCache);
    switch (mount.type?.kind) {
      case 'cache':
        need(true, capabilities.mountCache, capabilities.mountCacheSharing);
        break;
      case 'tmpfs':
        need(true, capabilities.mountTmpfs);
        need(mount.type.size, capabilities.mountTmpfsSize);
        break;
      default:
        need(mount.from?.output, capabilities.mountBind);
    }
  }
  return needs;
}
