import type { Policy } from '../api/gen/policy_pb.js';
import type { TokenTls } from '../client-services/fetch-token.ts';
import type { SecretSource } from '../client-services/secrets-service.ts';
import type { DecideSource } from '../client-services/source-policy-service.ts';
import type { SshSource } from '../client-services/ssh-service.ts';
import type { Uploads } from '../client-services/upload-service.ts';
import type { Definition } from '../llb/op.ts';
import type { Service } from '../session/service-host.ts';
import type { Question } from './ask.ts';

/** Options of an exporter or a remote cache, as its documentation names them. */
export type Attributes = Readonly<Record<string, string>>;

/** Where the bytes of a single-file output go. */
export type FileDestination = { readonly kind: 'path'; readonly path: string } | { readonly kind: 'stdout' };

/** Where the result goes. Several outputs of one build share its work. */
export type Output =
  /** The engine keeps it or sends it on itself (`image`, and whatever other exporters a daemon has). */
  | { readonly kind: 'engine'; readonly exporter: string; readonly attributes: Attributes }
  /** One file: an archive of type `oci`, `docker` or `tar`. */
  | {
      readonly kind: 'file';
      readonly exporter: string;
      readonly attributes: Attributes;
      readonly destination: FileDestination;
    }
  /** The files of the result, below a directory (`local`). With `remove`, what the result does not have goes. */
  | {
      readonly kind: 'directory';
      readonly exporter: string;
      readonly attributes: Attributes;
      readonly path: string;
      readonly remove: boolean;
    }
  /** An OCI layout in a directory (`oci` or `docker` with `tar=false`). */
  | {
      readonly kind: 'layout';
      readonly exporter: string;
      readonly attributes: Attributes;
      readonly path: string;
    };

/** A build that waits for the calls of its client. */
export interface DrivenBuild {
  readonly ref: string;
  readonly sessionId: string;
  /** What a frontend is told: the options of the request, and where to look for remote caches. */
  readonly options: Attributes;
  /** Aborts when the build ends otherwise. */
  readonly signal: AbortSignal;
}

export interface RemoteCache {
  readonly type: string;
  readonly attributes: Attributes;
}

/** What to build. */
export interface SolveRequest {
  /** What to solve: a definition as it is, or what a frontend makes of its options. */
  readonly source: /** `options` are for the engine: attestations, for example. */
    | { readonly kind: 'definition'; readonly definition: Definition; readonly options?: Attributes }
    | {
        readonly kind: 'frontend';
        readonly frontend: string;
        readonly options: Attributes;
        /** Definitions for the frontend, by the names under which it knows them. */
        readonly inputs?: ReadonlyMap<string, Definition>;
      }
    /** This side solves what it needs, and returns the result, by calls of the gateway. */
    | {
        readonly kind: 'driven';
        drive(build: DrivenBuild): Promise<void>;
        readonly options?: Attributes;
      }
    /** Nothing is built: the daemon, or a frontend, answers. */
    | { readonly kind: 'question'; readonly ask: Question };
  /** Directories that the build may read, by the names under which it asks for them. */
  readonly locals: ReadonlyMap<string, string>;
  /** OCI layouts that the build may read, by store name. */
  readonly layouts: ReadonlyMap<string, string>;
  /** Streams that the build may read by their URLs (`uploadUrl`). */
  readonly uploads: Uploads;
  readonly outputs: readonly Output[];
  readonly cacheExports: readonly RemoteCache[];
  readonly cacheImports: readonly RemoteCache[];
  readonly secrets: readonly SecretSource[];
  readonly ssh: readonly SshSource[];
  /** For the hosts that hand out registry tokens, by host name. */
  readonly registryTls: ReadonlyMap<string, TokenTls>;
  /** More that the session serves. */
  readonly services?: readonly Service[];
  readonly entitlements: readonly string[];
  readonly sourcePolicy?: Policy;
  /** Asked by the engine about every source, after `sourcePolicy`. */
  readonly decideSource?: DecideSource;
  readonly proxyNetwork?: boolean;
  /** Keep steps that fail for a while, so that somebody can look into them. */
  readonly keepFailedSteps?: boolean;
  /** Identifies the build at the daemon; random when not given. */
  readonly ref?: string;
}

/** A request with everything optional left out. */
export const emptySolve: Omit<SolveRequest, 'source'> = {
  locals: new Map(),
  layouts: new Map(),
  uploads: new Map(),
  outputs: [],
  cacheExports: [],
  cacheImports: [],
  secrets: [],
  ssh: [],
  registryTls: new Map(),
  entitlements: [],
};
