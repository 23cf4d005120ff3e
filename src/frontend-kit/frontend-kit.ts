/**
 * Writing a frontend: one function from what a client asks to a result.
 *
 *     await runFrontend(async (build) => {
 *       const { text } = await build.file();
 *       const base = await build.image('alpine:3.20');
 *       return containerImage(base.state.run(['sh', '-c', text]).root, { base });
 *     });
 *
 * States are made with `kiln/llb`. `runFrontend` makes a program a frontend that an image can hold and builds can name as their syntax;
 * `createFrontend` makes one for an engine in this process.
 */

export type { ErrorCode, Position, Range } from '../base/errors.ts';
export { KilnError } from '../base/errors.ts';
export type { Platform } from '../base/platform.ts';
export { formatPlatform, parsePlatform } from '../base/platform.ts';
export type { BridgeSolve, FileStat, Frontend, WorkerInfo } from '../frontend/frontend.ts';
export type { Healthcheck } from '../oci/image-config.ts';
export type { BaseImage } from './base-image.ts';
export type { BuildFile } from './build-file.ts';
export {
  type BuildResult,
  type CalledFrontend,
  type ContainerImage,
  containerImage,
  type Directory,
  directory,
  type HistoryLine,
  type ImageSettings,
} from './build-result.ts';
export { createFrontend } from './create-frontend.ts';
export type { FrontendBuild, WarningOptions } from './frontend-build.ts';
export type { FrontendDefinition, FrontendFunction } from './frontend-definition.ts';
export {
  choice,
  flag,
  type Parameter,
  type Parameters,
  type ParameterValues,
  text,
  wholeNumber,
} from './parameter.ts';
export { runFrontend } from './run-frontend.ts';
export type { SolvedTree } from './solved-tree.ts';
export { type Target, type TargetFunction, target } from './target.ts';
export type { OutlineParameter, TargetDescription, TargetOutline } from './target-description.ts';
