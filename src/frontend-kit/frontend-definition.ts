import type { BuildFile } from './build-file.ts';
import type { BuildResult } from './build-result.ts';
import type { FrontendBuild } from './frontend-build.ts';
import type { TargetDescription, TargetOutline } from './target-description.ts';

/** Makes a result from what a client asks. Called once for each platform that the client wants. */
export type FrontendFunction = (build: FrontendBuild) => BuildResult | Promise<BuildResult>;

export interface FrontendDefinition {
  /** What clients name it, where they do. */
  readonly name?: string;
  /** The file that is built when the client names none; `Dockerfile` by default, as for all clients. */
  readonly filename?: string;
  /** The file, where the client's directory is not where it comes from. */
  readonly file?: BuildFile;
  readonly build: FrontendFunction;
  /** What the target takes that the client names. */
  readonly outline?: (build: FrontendBuild) => TargetOutline | Promise<TargetOutline>;
  /** What can be built from the client's file. */
  readonly targets?: (
    build: FrontendBuild,
  ) => readonly TargetDescription[] | Promise<readonly TargetDescription[]>;
}
