/** One build whose result is compared: what is built, and how. */
export interface ConformanceCase {
  /** Unique in its file. */
  readonly name: string;
  /** Options of the Dockerfile frontend. */
  readonly options: Readonly<Record<string, string>>;
  /** Attributes of the `oci` exporter. */
  readonly output: Readonly<Record<string, string>>;
  /** Values by id. */
  readonly secrets: ReadonlyMap<string, string>;
  readonly entitlements: readonly string[];
  /** Trees of the client by name; `context` has the Dockerfile. */
  readonly trees: ReadonlyMap<string, readonly TreeEntry[]>;
  /** What the message must say when the build has to fail. */
  readonly error: RegExp | undefined;
  readonly deviations: ReadonlyMap<Aspect, string>;
}

/** What of a result can be said to differ on purpose. */
export const aspects = ['config', 'layers', 'times', 'warnings', 'steps', 'lines'] as const;
export type Aspect = (typeof aspects)[number];

/** Of entries that declare none: long before any build. Nanoseconds since 1970. */
export const defaultTime = 981_173_106_123_456_789n;

export interface EntryAttributes {
  /** Relative, with `/` between names. */
  readonly path: string;
  readonly mode: number | undefined;
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  readonly xattrs: ReadonlyMap<string, string>;
}

/** An entry of a tree that is made for a case. */
export type TreeEntry = EntryAttributes &
  (
    | { readonly kind: 'file'; readonly content: Uint8Array }
    | { readonly kind: 'directory' }
    | { readonly kind: 'symlink'; readonly target: string }
    | { readonly kind: 'hardlink'; readonly target: string }
    | { readonly kind: 'fifo' }
    | { readonly kind: 'character-device'; readonly major: number; readonly minor: number }
    | { readonly kind: 'archive'; readonly compression: Compression; readonly members: readonly TreeEntry[] }
  );

export const compressions = ['none', 'gzip', 'bzip2', 'xz', 'zstd'] as const;
export type Compression = (typeof compressions)[number];
