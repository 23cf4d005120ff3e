import type { AnyMethod } from './session-methods.ts';

/** Options of an exporter or a remote cache, as its documentation names them. */
export type Attributes = Readonly<Record<string, string>>;

/**
 * Where the result goes. `local` writes its files below the directory `dest`; `tar`, `oci` and `docker` write an archive to the file `dest`
 * (`-` is standard output), the last two with `tar: 'false'` a layout below the directory `dest`. Others (`image`, `registry`) stay with the
 * daemon, or are sent on by it. Without an output the result is built, and kept as cache.
 */
export interface BuildOutput {
  readonly type: string;
  readonly dest?: string;
  readonly attributes?: Attributes;
}

export interface BuildCache {
  readonly type: string;
  readonly attributes?: Attributes;
}

/** A secret: its value, or where it is. */
export type Secret = string | Uint8Array | { readonly file: string } | { readonly env: string };

/** An SSH agent: the socket of one, or files with keys, which get an agent of their own. Without paths that of `$SSH_AUTH_SOCK`. */
export interface SshAgent {
  readonly id?: string;
  readonly paths?: readonly string[];
}

export interface BuildOptions {
  /** Several outputs share the work. */
  readonly outputs?: readonly BuildOutput[];
  /** Directories that the build may read, by the names under which it asks for them: those of `local` in a graph, `context` and `dockerfile` for a Dockerfile. */
  readonly locals?: Readonly<Record<string, string>>;
  /** OCI layouts that the build may read, by the names of their stores. */
  readonly layouts?: Readonly<Record<string, string>>;
  readonly secrets?: Readonly<Record<string, Secret>>;
  readonly ssh?: readonly SshAgent[];
  readonly cacheFrom?: readonly BuildCache[];
  readonly cacheTo?: readonly BuildCache[];
  /** `network.host`, `security.insecure` and others that steps need. */
  readonly entitlements?: readonly string[];
  /** More that the daemon may ask of this side, by full method names: `/package.Service/Method`. See `unaryMethod`. */
  readonly methods?: Readonly<Record<string, AnyMethod>>;
  /** Options of the daemon for what no frontend makes: `attest:provenance`, for example. */
  readonly attributes?: Attributes;
  /** Identifies the build at the daemon; random when not given. */
  readonly ref?: string;
  /** Cancels the build. */
  readonly signal?: AbortSignal;
}
