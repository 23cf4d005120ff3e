/**
 * LLB, the build graph, as a library: `kiln/llb`.
 *
 * Everything is immutable data. `toDefinition` marshals a tree with all that it is made of, and `encodeDefinition` makes the bytes that any
 * BuildKit daemon solves; `toGraph` gives the same as typed ops. For the same graph the bytes are those of BuildKit's Go package
 * `client/llb`, vertex by vertex; `docs/typescript.md` says what cannot be equal.
 *
 * @example
 * ```ts
 * import { encodeDefinition, files, image, local, scratch, toDefinition } from 'kiln/llb';
 *
 * const built = image('alpine:3.20').run('make', {
 *   dir: '/src',
 *   mounts: [{ dest: '/src', from: local('context') }],
 * });
 * const result = scratch().file(files().copy(built.mount('/src'), '/out', '/'));
 * const bytes = encodeDefinition(toDefinition(result));
 * assert.ok(bytes.length > 0);
 * ```
 */

export { type Digest, parseDigest } from '../base/digest.ts';
export { KilnError } from '../base/errors.ts';
export type { LinuxResources } from '../base/linux-resources.ts';
export { formatPlatform, type Platform, parsePlatform } from '../base/platform.ts';
export type { BuildOptions } from './builder/build-vertex.ts';
export type { DescribedTree, ProcessOptions, StateSettings } from './builder/described-tree.ts';
export type { ExecOptions, MountSpec, SecretSpec, SshSpec } from './builder/exec-vertex.ts';
export type { ChangedFiles, CopyOptions, CreateOptions } from './builder/file-actions.ts';
export { FileActions, files } from './builder/file-actions.ts';
export { type SourceLinesOptions, withSourceLines } from './builder/source-lines.ts';
export type { SourceLocation } from './builder/source-location.ts';
export {
  type FileOptions,
  fromDefinition,
  type GitOptions,
  type GitSignatureOptions,
  git,
  type HttpOptions,
  http,
  type ImageOptions,
  image,
  imageBlob,
  type LayoutBlobOptions,
  type LocalOptions,
  layoutBlob,
  local,
  type OciLayoutOptions,
  ociLayout,
  scratch,
} from './builder/source-states.ts';
export { splitCommand } from './builder/split-command.ts';
export {
  diff,
  ExecState,
  merge,
  type PassthroughInput,
  passthrough,
  State,
} from './builder/state.ts';
export { toDefinition } from './builder/to-definition.ts';
export { type GraphDefaults, type GraphOptions, toGraph } from './builder/to-graph.ts';
export type { VertexOptions } from './builder/vertex.ts';
export type { OpGraph, OpVertex } from './graph.ts';
export type * from './op.ts';
export { decodeDefinition, encodeDefinition } from './wire/definition-wire.ts';
export { marshalGraph } from './wire/marshal-graph.ts';
export { unmarshalDefinition } from './wire/unmarshal-definition.ts';
