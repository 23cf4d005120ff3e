import { KilnError } from '../../base/errors.ts';
import type { OpVertex } from '../../llb/graph.ts';
import type { BuildOperation, WorkerParts } from '../engine-parts.ts';
import { ExecOperation } from './exec-operation.ts';
import { FileOperation } from './file-operation.ts';
import { DiffOperation, MergeOperation } from './layer-operations.ts';
import { PassthroughOperation } from './passthrough-operation.ts';
import { inputFiles, SourceOperation } from './source-operation.ts';

/** The operation of a vertex. `inputs` are the vertices of its input edges. */
export function operationOf(
  vertex: OpVertex,
  inputs: readonly OpVertex[],
  parts: WorkerParts,
): BuildOperation {
  const { op } = vertex;
  const files = inputs.map(({ op: input }) => inputFiles(input, parts));
  const contentOnly = files.map((each) => each.contentOnly);
  switch (op.action.kind) {
    case 'source':
      return new SourceOperation(op.action, op.platform ?? parts.platform, parts);
    case 'exec':
      return new ExecOperation(op.action, op.platform ?? parts.platform, vertex, files, parts);
    case 'file':
      return new FileOperation(op.action, vertex, files, parts);
    case 'merge':
      return new MergeOperation(op.action, vertex, contentOnly, parts);
    case 'diff':
      return new DiffOperation(op.action, vertex, contentOnly, parts);
    case 'passthrough':
      return new PassthroughOperation(op.action, contentOnly);
    case 'build':
      throw new KilnError('unimplemented', `LLB vertices of kind ${op.action.kind} are not supported`, {
        details: [{ kind: 'vertex', digest: vertex.digest }],
      });
  }
}
