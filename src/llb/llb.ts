/**
 * LLB, the build graph as a library:
 *
 *     const base = image('docker.io/library/alpine:3.20');
 *     const built = base.dir('/src').run(['make'], { mounts: [{ dest: '/src', from: local('context') }] }).root;
 *     const definition = toDefinition(scratch().file(files().copy(built, '/src/out', '/')));
 *
 * Everything is immutable data. `toGraph` makes typed ops of it, for an engine in this process; `toDefinition` marshals
 * them, and `encodeDefinition` makes the bytes that any BuildKit daemon solves.
 */

export type { LinuxResources } from '../base/linux-resources.ts';
export type { ExecOptions, MountSpec, SecretSpec, SshSpec } from './builder/exec-vertex.ts';
export type { CopyOptions, CreateOptions } from './builder/file-actions.ts';
export { FileActions, files } from './builder/file-actions.ts';
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
export { diff, ExecState, merge, State } from './builder/state.ts';
export { toDefinition } from './builder/to-definition.ts';
export { type GraphOptions, toGraph } from './builder/to-graph.ts';
export type { SourceLocation, VertexOptions } from './builder/vertex.ts';
export type { OpGraph, OpVertex } from './graph.ts';
export type * from './op.ts';
export { decodeDefinition, encodeDefinition } from './wire/definition-wire.ts';
export { marshalGraph } from './wire/marshal-graph.ts';
export { unmarshalDefinition } from './wire/unmarshal-definition.ts';
