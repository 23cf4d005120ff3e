import type { FailedStep, KilnError } from '../../base/errors.ts';
import type { SolvedRef } from '../../frontend/frontend.ts';
import type { OpVertex } from '../../llb/graph.ts';
import { marshalOp } from '../../llb/wire/marshal-op.ts';
import type { ImmutableRef, RefId } from '../../ref/ref.ts';
import { KeptTree } from './kept-tree.ts';

export type Trees = readonly (ImmutableRef | undefined)[];

/** What there is of a step when it fails. */
export interface FailedTrees {
  readonly inputs: Trees;
  readonly mounts: Trees;
  readonly subject?: FailedStep['subject'];
}

/** The steps that failed in one build, with their trees, for its client to look into. Disposing it gives the trees back. */
export class StepFailures implements AsyncDisposable {
  readonly #retire: (id: RefId) => void;
  readonly #steps = new Map<string, FailedStep>();
  readonly #trees = new Map<string, KeptTree>();
  #isDisposed = false;

  /** `retire` is called for trees that nobody needs once they are given back. */
  constructor(retire: (id: RefId) => void) {
    this.#retire = retire;
  }

  /** Keeps handles of its own. */
  add({ digest, op, bytes, metadata }: OpVertex, { inputs, mounts, subject }: FailedTrees): void {
    if (this.#isDisposed) return;
    this.#steps.set(digest, {
      inputIds: inputs.map((tree) => this.#keep(tree)),
      mountIds: mounts.map((tree) => this.#keep(tree)),
      op: bytes ?? marshalOp(op),
      description: metadata.description,
      subject,
    });
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
      if (step) return error.withDetail({ kind: 'step', ...step });
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
    this.#steps.clear();
  }

  /** For trees that were made because a step failed: they go with the last build that keeps them. */
  retire(trees: Trees): void {
    for (const tree of trees) if (tree) this.#retire(tree.id);
  }
}
