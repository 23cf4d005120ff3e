/**
 * LLB, the build graph as a library:
 *
 *     const base = image('docker.io/library/alpine:3.20');
 *     const built = base.dir('/src').run(['make'], { mounts: [{ dest: '/src', from: local('context') }] }).root;
 *     const definition = toDefinition(scratch().file(files().copy(built, '/src/out', '/')));
 *
 * Everything is immutable data; `toDefinition` marshals it and `encodeDefinition` makes the bytes that any BuildKit
 * daemon solves.
 */

export { decodeDefinition, encodeDefinition } from './definition-wire.ts';
export type { ExecOptions, MountSpec, SecretSpec, SshSpec } from './exec-vertex.ts';
export type { CopyOptions, CreateOptions } from './file-actions.ts';
export { FileActions, files } from './file-actions.ts';
export { type OpGraph, type OpVertex, unmarshalDefinition, unmarshalInTurns } from './graph.ts';
export type * from './op.ts';
export {
  fromDefinition,
  type GitOptions,
  git,
  type HttpOptions,
  http,
  type ImageOptions,
  image,
  type LocalOptions,
  local,
  type OciLayoutOptions,
  ociLayout,
  scratch,
} from './source-states.ts';
export { diff, ExecState, merge, State, type StateSettings } from './state.ts';
export { type DefinitionOptions, toDefinition } from './to-definition.ts';
export type { SourceLocation, VertexOptions } from './vertex.ts';
