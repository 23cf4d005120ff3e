import { type Deferred, deferred } from '../../base/async/lifetime.ts';
import { type Digest, digestOf } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { ownValue } from '../../base/own-value.ts';
import { buildCacheDigest } from '../../llb/cache-digest/tree-cache-digests.ts';
import type { OpGraph, OpVertex } from '../../llb/graph.ts';
import { type BuildOp, definitionFileAttribute, definitionInput } from '../../llb/op.ts';
import { decodeInTurns } from '../../llb/wire/definition-wire.ts';
import { unmarshalInTurns } from '../../llb/wire/unmarshal-definition.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheMap, OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { Nesting } from '../nested/nested-graphs.ts';
import { readTreeFile } from '../result/read-tree.ts';
import type { BuildOperation } from './build-operation.ts';
import type { OperationServices } from './operation-services.ts';
import { vertexDescription } from './vertex-description.ts';

/** In bytes: what a definition may have that comes in a message. */
const largestDefinition = 16 * 1024 * 1024;
/** Each of them holds its definition until the innermost one is done. */
const deepest = 32;

/**
 * Builds the definition in a file of an input, and has its result. Every build that wants the vertex solves the definition, by vertices that all of them
 * share: so each sees what is done, and one that leaves takes nothing from the others.
 */
export class NestedBuildOperation implements BuildOperation {
  readonly bypassesSlots = true;
  /** Equal work can be part of the definition, and would wait for this. */
  readonly runsAlone = true;
  readonly #op: BuildOp;
  readonly #vertex: OpVertex;
  readonly #contentOnly: readonly boolean[];
  readonly #services: OperationServices;
  readonly #nesting: Nesting;

  constructor(
    op: BuildOp,
    vertex: OpVertex,
    contentOnly: readonly boolean[],
    services: OperationServices,
    nesting: Nesting,
  ) {
    this.#op = op;
    this.#vertex = vertex;
    this.#contentOnly = contentOnly;
    this.#services = services;
    this.#nesting = nesting;
  }

  async cacheMap(): Promise<CacheMap<ImmutableRef, JobContext>> {
    return {
      digest: boundTo(this.#nesting.rights, buildCacheDigest(this.#op)),
      inputs: this.#contentOnly.map((contentOnly) => ({ contentOnly })),
    };
  }

  async execute(
    context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    const { rights, depth } = this.#nesting;
    if (depth >= deepest) {
      throw new KilnError(
        'failed_precondition',
        `builds are nested in each other more than ${deepest} deep`,
        {
          hint: 'a definition must not lead to ever new definitions',
        },
      );
    }
    const graph = await this.#readGraph(inputs[this.#op.inputs[definitionInput]!]!, context.signal);
    const nested = { vertex: this.#vertex, graph, nesting: { rights, depth: depth + 1 } };
    using _ = context.waitsFor(`the result of the definition, which has ${graph.vertices.size} vertices`);
    const tree = await forAnyJob(context, (job, signal) => job.nested.solve(nested, signal));
    return [
      tree ?? (await this.#services.refStore.merge([], { description: vertexDescription(this.#vertex) })),
    ];
  }

  async #readGraph(input: ImmutableRef, signal: AbortSignal): Promise<OpGraph> {
    const name = ownValue(this.#op.attrs, definitionFileAttribute) ?? definitionInput;
    const bytes = await this.#readFile(input, name, signal);
    try {
      return await unmarshalInTurns(await decodeInTurns(bytes));
    } catch (error) {
      // Vertices in there are none of this graph's.
      const { code, message, hint } = asKilnError(error);
      throw new KilnError(code, `${name}: ${message}`, { cause: error, hint });
    }
  }

  async #readFile(input: ImmutableRef, name: string, signal: AbortSignal): Promise<Uint8Array> {
    await using view = await input.mountPartly({ signal });
    let bytes: Uint8Array;
    try {
      bytes = await readTreeFile(view, name, { offset: 0, length: largestDefinition }, signal);
    } catch (error) {
      throw asKilnError(error).wrap('failed to open the definition');
    }
    if (bytes.length < largestDefinition) return bytes;
    throw new KilnError(
      'resource_exhausted',
      `${name} has ${largestDefinition} bytes or more, which is too much for a definition`,
    );
  }
}

/** The digest of what is done only with these rights. */
function boundTo(rights: string, digest: Digest): Digest {
  return rights === '' ? digest : digestOf(`kiln rights\0${rights}\0${digest}`);
}

/** Does work for each job that wants the vertex, until the first one has a result. A job that leaves does not count while there are others. */
async function forAnyJob(
  context: OperationContext<JobContext>,
  work: (job: JobContext, signal: AbortSignal) => Promise<ImmutableRef | undefined>,
): Promise<ImmutableRef | undefined> {
  const decided: Deferred<ImmutableRef | undefined> = deferred();
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);
  const works = new Set<Promise<void>>();
  const begin = async (job: JobContext): Promise<void> => {
    const tree = await work(job, signal);
    if (over.signal.aborted) await tree?.release();
    else {
      over.abort(new KilnError('canceled', 'another build has the result'));
      decided.resolve(tree);
    }
  };
  context.eachJob((job) => {
    if (over.signal.aborted) return;
    const running = begin(job).catch((error) => {
      works.delete(running);
      if (over.signal.aborted || (works.size > 0 && isLossOfJob(error))) return;
      over.abort(new KilnError('canceled', 'another build failed'));
      decided.reject(error);
    });
    works.add(running);
  });
  try {
    return await decided.promise;
  } finally {
    await Promise.all(works);
  }
}

function isLossOfJob(error: unknown): boolean {
  const { code } = asKilnError(error);
  return code === 'canceled' || code === 'unavailable';
}
