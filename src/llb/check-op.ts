import { posix } from 'node:path';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { ownValue } from '../base/own-value.ts';
import { type BuildOp, definitionInput, type ExecOp, llbBuilder, noIndex, type Op } from './op.ts';

/** PATH_MAX of Linux, in characters. Work on paths is not linear everywhere, and no system call takes a longer one. */
const longestPath = 4096;

/** Throws `invalid_argument` naming the vertex when its op cannot be carried out, whoever made it. */
export function checkOp(digest: Digest, op: Op): void {
  const why = opProblem(op);
  if (why !== undefined) throw invalidVertex(digest, why);
}

function opProblem({ action }: Op): string | undefined {
  switch (action.kind) {
    case 'source':
      return action.identifier === '' ? 'its source has no identifier' : undefined;
    case 'exec':
      return execProblem(action);
    case 'build':
      return buildProblem(action);
    default:
      return undefined;
  }
}

/** With the words of BuildKit, which fails when it runs such an op. */
function buildProblem({ builder, inputs }: BuildOp): string | undefined {
  if (builder !== llbBuilder) return `builder ${builder}: only LLB builder is currently allowed`;
  const input = ownValue(inputs, definitionInput);
  if (input === undefined) return `no llb definition input ${definitionInput} found`;
  return input === noIndex ? `invalid index ${input} of ${definitionInput}` : undefined;
}

function execProblem({ meta, mounts }: ExecOp): string | undefined {
  if (meta.args.length === 0) return 'it runs no command';
  if (!mounts.some(({ dest }) => dest === '/')) return 'it has no root file system';
  const long = pathProblem(meta.cwd, 'the working directory');
  if (long !== undefined) return long;
  for (const { dest, type } of mounts) {
    const problem = pathProblem(dest, 'a mount target');
    if (problem !== undefined) return problem;
    const isRoot = posix.resolve('/', meta.cwd, dest) === '/';
    if (isRoot && (dest !== '/' || type.kind !== 'bind')) {
      return `its mount target ${JSON.stringify(dest)} is the root`;
    }
  }
  return undefined;
}

function pathProblem(path: string, what: string): string | undefined {
  if (path.length <= longestPath) return undefined;
  return `${what} has ${path.length} characters, more than ${longestPath}`;
}

/** The error of a vertex that makes no sense. `why` is a sentence about the vertex. */
export function invalidVertex(digest: Digest, why: string, cause?: unknown): KilnError {
  return new KilnError('invalid_argument', `invalid LLB vertex ${digest}: ${why}`, {
    cause,
    details: [{ kind: 'vertex', digest }],
  });
}
