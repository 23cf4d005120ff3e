import type { Platform } from '../../base/platform.ts';
import type { SolvedRef } from '../../frontend/frontend.ts';
import type { ExecMount, NetworkMode, SecretEnv, SecurityMode } from '../../llb/op.ts';

/** A container that a client of a build asks for, to run processes in it. */
export interface ContainerRequest {
  readonly mounts: readonly ContainerMount[];
  readonly network: NetworkMode;
  /** Empty for the default. */
  readonly hostname: string;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  /** What its programs are made for; the machine's own by default. An empty architecture is the machine's. */
  readonly platform?: Platform;
}

export interface ContainerMount {
  readonly dest: string;
  readonly selector: string;
  readonly readonly: boolean;
  readonly type: ExecMount['type'];
  /** What is mounted, or what a cache begins with; empty by default. */
  readonly ref: SolvedRef | undefined;
}

export interface ContainerProcess {
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Empty for `/`. */
  readonly cwd: string;
  /** As in `ProcessSpec`; empty is root for the first process of a container, and that process's user for the others. */
  readonly user: string;
  /** Of the container: it is the first process's that counts. */
  readonly security: SecurityMode;
  readonly secretEnv: readonly SecretEnv[];
  readonly removeMountStubsRecursive: boolean;
}
