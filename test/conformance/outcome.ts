/** What a build gave, without what differs between machines and runs. Written to files as JSON. */
export type Outcome = BuiltOutcome | FailedOutcome;

export interface BuiltOutcome {
  readonly result: 'built';
  readonly images: readonly ImageOutcome[];
  /** In the order of their text. */
  readonly warnings: readonly string[];
  /** What the vertices are called, sorted; digests and step numbers in the names are left out. */
  readonly steps: readonly string[];
}

export interface FailedOutcome {
  readonly result: 'failed';
  readonly message: string;
  /** The lines of the Dockerfile that the error names. */
  readonly lines: readonly number[];
  readonly warnings: readonly string[];
}

export interface ImageOutcome {
  /** The image config, times of the build and digests of layers left out. */
  readonly config: unknown;
  /** Of the config, when it depends on the input only. */
  readonly configDigest?: string;
  readonly layers: readonly LayerOutcome[];
}

export type LayerOutcome =
  /** The base image's own, which is another one on another machine. */
  | { readonly kind: 'base' }
  | {
      readonly kind: 'changes';
      /** Of the uncompressed archive, when it depends on the input only. */
      readonly digest?: string;
      /** In the order of their paths. */
      readonly entries: readonly LayerEntry[];
    };

/** An entry of a layer's archive. Whiteouts are files as the archive has them (image-spec, "Whiteouts"). */
export interface LayerEntry {
  readonly path: string;
  readonly type: string;
  readonly mode: string;
  readonly owner: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
  readonly device?: string;
  readonly xattrs?: Readonly<Record<string, string>>;
  /** `built`, or an older time with its nanoseconds. */
  readonly mtime: string;
}

/** Stands for a time at which a build ran. */
export const builtTime = 'built';

/** From here on times are those of a build; what cases declare is older. Milliseconds since 1970. */
const firstBuildTime = Date.UTC(2020, 0, 1);

export function isBuildTime(milliseconds: number): boolean {
  return milliseconds >= firstBuildTime;
}
