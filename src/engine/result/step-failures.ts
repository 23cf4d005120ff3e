import type { FailedStep, KilnError } from '../../base/errors.ts';
import type { SolvedRef } from '../../frontend/frontend.ts';
import type { OpVertex } from '../../llb/graph.ts';
import { marshalOp } from '../../llb/wire/marshal-op.ts';
import type { ImmutableRef, RefId } from '../../ref/ref.ts';
import type { KeepSteps, KeptStep, KeptSteps } from '../failed-steps/kept-steps.ts';
import { vertexDescription } from '../operations/vertex-description.ts';
import { KeptTree } from './kept-tree.ts';

export type Trees = readonly (ImmutableRef | undefined)[];

/** What there is of a step when it fails. */
export interface FailedTrees {
  readonly inputs: Trees;
  readonly mounts: Trees;
  readonly subject?: FailedStep['subject'];
}

/**
 * The steps that failed in one build, with their trees, for its client to look into while the build runs. Disposing it gives the trees back; `end` then
 * decides what becomes of them.
 */
export class StepFailures implements AsyncDisposable {
  readonly #kept: KeptSteps;
  readonly #steps = new Map<string, { readonly told: FailedStep; readonly kept: KeptStep }>();
  readonly #trees = new Map<string, KeptTree>();
  readonly #wanted = new DisposableStack();
  #isDisposed = false;

  constructor(kept: KeptSteps) {
    this.#kept = kept;
  }

  /** Keeps handles of its own. `made` are those of the trees that there are only because the step failed. */
  add(vertex: OpVertex, { inputs, mounts, subject }: FailedTrees, made: readonly RefId[]): void {
    if (this.#isDisposed) return;
    const { digest, op, metadata } = vertex;
    const bytes = vertex.bytes ?? marshalOp(op);
    this.#wanted.use(this.#kept.want(made));
    this.#steps.set(digest, {
      told: {
        inputIds: inputs.map((tree) => this.#keep(tree)),
        mountIds: mounts.map((tree) => this.#keep(tree)),
        op: bytes,
        description: metadata.description,
        subject,
      },
      kept: {
        vertex: digest,
        name: vertexDescription(vertex),
        op,
        opSize: bytes.length,
        resources: metadata.resources,
        inputs: inputs.map((tree) => tree?.id),
        mounts: mounts.map((tree) => tree?.id),
        subject,
        made,
      },
    });
  }

  /** As `KeptSteps.want`. */
  want(made: readonly RefId[]): Disposable {
    return this.#kept.want(made);
  }

  /** A tree of a failed step. */
  tree(id: string): SolvedRef | undefined {
    return this.#trees.get(id);
  }

  /** The error with what is there of the step that it names. */
  explain(error: KilnError): KilnError {
    if (error.details.some(({ kind }) => kind === 'step')) return error;
    for (const detail of error.details) {
      const step = detail.kind === 'vertex' ? this.#steps.get(detail.digest) : undefined;
      if (step) return error.withDetail({ kind: 'step', ...step.told });
    }
    return error;
  }

  #keep(tree: ImmutableRef | undefined): string {
    if (!tree) return '';
    const kept = new KeptTree(tree.clone());
    this.#trees.set(kept.id, kept);
    return kept.id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    for (const kept of this.#trees.values()) await kept[Symbol.asyncDispose]();
    this.#trees.clear();
  }

  /** To be called once the build has ended: the steps of one that failed, and was not canceled, are kept as its client wishes. */
  end({
    ref,
    error,
    wish,
  }: {
    readonly ref: string;
    readonly error?: KilnError;
    readonly wish: KeepSteps;
  }): void {
    if (error && error.code !== 'canceled') {
      const cause = error.details.find(({ kind }) => kind === 'vertex');
      const steps = [...this.#steps.values()].map(({ kept }) => kept);
      this.#kept.add(ref, steps, cause?.kind === 'vertex' ? cause.digest : undefined, wish);
    }
    this.#steps.clear();
    this.#wanted.dispose();
  }
}
