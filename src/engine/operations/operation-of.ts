import type { OpVertex } from '../../llb/graph.ts';
import type { Nesting } from '../nested/nested-graphs.ts';
import type { BuildOperation } from './build-operation.ts';
import { ExecOperation } from './exec-operation.ts';
import { FileOperation } from './file-operation.ts';
import { inputFiles } from './input-files.ts';
import { NestedBuildOperation } from './nested-build-operation.ts';
import type { OperationServices } from './operation-services.ts';
import { SourceOperation } from './source-operation.ts';
import { diffOperation, mergeOperation, passthroughOperation } from './whole-tree-operation.ts';

/** The operation of a vertex. `inputs` are the vertices of its input edges. */
export function operationOf(
  vertex: OpVertex,
  inputs: readonly OpVertex[],
  services: OperationServices,
  nesting: Nesting,
): BuildOperation {
  const { op } = vertex;
  const files = inputs.map(({ op: input }) => inputFiles(input, services));
  const contentOnly = files.map((each) => each.contentOnly);
  switch (op.action.kind) {
    case 'source':
      return new SourceOperation(op.action, op.platform ?? services.platform, services);
    case 'exec':
      return new ExecOperation(op.action, op.platform ?? services.platform, vertex, files, services);
    case 'file':
      return new FileOperation(op.action, vertex, files, services);
    case 'merge':
      return mergeOperation(op.action, vertex, contentOnly, services);
    case 'diff':
      return diffOperation(op.action, vertex, contentOnly, services);
    case 'passthrough':
      return passthroughOperation(op.action, contentOnly);
    case 'build':
      return new NestedBuildOperation(op.action, vertex, contentOnly, services, nesting);
  }
}
