import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { LinuxResources } from '../../base/linux-resources.ts';
import type { Op } from '../../llb/op.ts';
import type { ImmutableRef, RefId } from '../../ref/ref.ts';
import type { RefLookup, TreeReuse } from '../../ref/ref-store.ts';

/** A failed step and the ids of its trees, undefined where there is none. What they stand for is told in `FailedStep` of `base/errors.ts`. */
export interface KeptStep {
  readonly vertex: Digest;
  readonly name: string;
  readonly op: Op;
  /** Bytes of the op. */
  readonly opSize: number;
  readonly resources?: LinuxResources;
  readonly inputs: readonly (RefId | undefined)[];
  readonly mounts: readonly (RefId | undefined)[];
  readonly subject?: { readonly kind: 'file' | 'cache'; readonly index: number };
  /** The trees that there are only because the step failed. */
  readonly made: readonly RefId[];
}

/** A failed build and those of its failed steps that are there. */
export interface KeptBuild {
  readonly ref: string;
  readonly failedAt: Date;
  readonly keptUntil: Date;
  /** In the order in which they failed. */
  readonly steps: readonly KeptStep[];
  /** The step that failed the build. */
  readonly cause: KeptStep;
}

/** How a client wants the failed steps of its build to be kept: as the daemon keeps them, for a while in any case, or not at all. */
export type KeepSteps = 'usual' | 'asked' | 'not';

export interface KeptStepsOptions {
  readonly trees: Pick<RefLookup, 'has' | 'get'> & Pick<TreeReuse, 'retire'>;
  /** Milliseconds; 0: only those of builds whose client asks for it are kept. */
  readonly keepFor: number;
}

/** Milliseconds that a client has to look into a step that it asked for. */
const leastTime = 60_000;
const mostTime = 365 * 24 * 60 * 60 * 1000;
const maxSteps = 32;
const maxStepsOfBuild = 8;
/** Bytes of ops in memory. */
const maxOpBytes = 16 << 20;

/**
 * The failed steps of lately failed builds. It holds no trees, it knows their ids: they count as unused, so whatever collects garbage can have them, and
 * the step is gone then. What steps have been kept for too long, or are too many, have their trees removed.
 */
export class KeptSteps implements Disposable {
  readonly #options: KeptStepsOptions;
  /** Oldest first. */
  #builds: KeptBuild[] = [];
  /** How many want each of the made trees to stay. */
  readonly #wanted = new Map<RefId, number>();
  #timer: NodeJS.Timeout | undefined;
  #isDisposed = false;

  constructor(options: KeptStepsOptions) {
    const { keepFor } = options;
    this.#options = { ...options, keepFor: keepFor > 0 ? Math.min(keepFor, mostTime) : 0 };
  }

  /** Whether failed steps of such a build are worth collecting. */
  keeps(wish: KeepSteps): boolean {
    return this.#timeFor(wish) > 0;
  }

  /** Says that trees are wanted, until what is returned is disposed of. Trees that nobody wants any more are removed. */
  want(made: readonly RefId[]): Disposable {
    for (const id of made) this.#wanted.set(id, (this.#wanted.get(id) ?? 0) + 1);
    let isWanted = true;
    return {
      [Symbol.dispose]: () => {
        if (isWanted) this.#unwant(made);
        isWanted = false;
      },
    };
  }

  /** Keeps the steps of a build that has failed. `cause` is the vertex that the build's error names. */
  add(ref: string, failed: readonly KeptStep[], cause: string | undefined, wish: KeepSteps): void {
    const time = this.#timeFor(wish);
    if (time === 0 || failed.length === 0 || this.#isDisposed) return;
    this.#drop((build) => build.ref === ref);
    const first = failed.find(({ vertex }) => vertex === cause) ?? failed.at(-1)!;
    // Those that failed last say the least.
    const steps = failed.filter((step, index) => step === first || index < maxStepsOfBuild - 1);
    const now = Date.now();
    const build = { ref, failedAt: new Date(now), keptUntil: new Date(now + time), steps, cause: first };
    for (const step of steps) this.want(step.made);
    this.#builds.push(build);
    this.#trim();
    this.#schedule();
  }

  /** What is kept, the latest last. Steps whose trees are gone are forgotten. */
  builds(): readonly KeptBuild[] {
    const { trees } = this.#options;
    this.#drop(({ cause }) => !needed(cause).every((id) => trees.has(id)));
    return this.#builds;
  }

  /**
   * A step by the ref of its build, or the beginning of it, and by its number among the steps of that build, from 1, or the beginning of its digest. An
   * empty text means the last build, and the step that failed the build. Throws `not_found`, and `invalid_argument` when several are meant.
   */
  find(ref: string, step: string): { readonly build: KeptBuild; readonly step: KeptStep } {
    const build = this.#findBuild(ref);
    if (step === '') return { build, step: build.cause };
    const digest = step.startsWith('sha256:') ? step : `sha256:${step}`;
    const found = /^\d{1,2}$/.test(step)
      ? build.steps.slice(Number(step) - 1, Number(step)).filter(() => Number(step) > 0)
      : build.steps.filter(({ vertex }) => vertex.startsWith(digest));
    if (found.length === 1) return { build, step: found[0]! };
    if (found.length > 1) throw several('step', step);
    throw new KilnError('not_found', `build ${build.ref} has no failed step ${JSON.stringify(step)}`, {
      hint: 'kiln debug shell --list shows the steps',
    });
  }

  /** Throws `not_found` when the tree is gone. */
  async tree(id: RefId): Promise<ImmutableRef> {
    const tree = await this.#options.trees.get(id);
    if (tree) return tree;
    throw new KilnError('not_found', 'the files of the failed step have been pruned', {
      hint: 'build it again',
    });
  }

  /** Has the trees removed. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
    this.#drop(() => true);
  }

  #findBuild(ref: string): KeptBuild {
    const builds = this.builds();
    const latest = builds.at(-1);
    if (!latest) {
      throw new KilnError('not_found', 'no failed step is kept', {
        hint:
          this.#options.keepFor > 0
            ? 'steps go after a while, when the disk is short, and when the daemon restarts'
            : 'history.keepFailedSteps of the daemon is 0: build with --debug-shell',
      });
    }
    if (ref === '') return latest;
    const found =
      builds.filter((build) => build.ref === ref).at(0) ??
      builds.filter((build) => build.ref.startsWith(ref));
    if (!Array.isArray(found)) return found;
    if (found.length > 1) throw several('build', ref);
    if (found[0]) return found[0];
    throw new KilnError('not_found', `no failed step of a build ${JSON.stringify(ref)} is kept`, {
      hint: 'kiln debug shell --list shows those that are',
    });
  }

  #timeFor(wish: KeepSteps): number {
    const { keepFor } = this.#options;
    switch (wish) {
      case 'not':
        return 0;
      case 'usual':
        return keepFor;
      case 'asked':
        return Math.max(keepFor, leastTime);
    }
  }

  #trim(): void {
    const isTooMuch = () => {
      const steps = this.#builds.flatMap((build) => build.steps);
      return steps.length > maxSteps || steps.reduce((sum, { opSize }) => sum + opSize, 0) > maxOpBytes;
    };
    while (isTooMuch()) {
      const [oldest] = this.#builds;
      this.#drop((build) => build === oldest);
    }
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#builds.length === 0) return;
    const next = Math.min(...this.#builds.map(({ keptUntil }) => keptUntil.getTime()));
    this.#timer = setTimeout(
      () => {
        this.#drop(({ keptUntil }) => keptUntil.getTime() <= Date.now());
        this.#schedule();
      },
      Math.min(Math.max(next - Date.now(), 0), maxTimer),
    ).unref();
  }

  #drop(isDue: (build: KeptBuild) => boolean): void {
    const due = this.#builds.filter(isDue);
    if (due.length === 0) return;
    this.#builds = this.#builds.filter((build) => !due.includes(build));
    for (const { steps } of due) for (const { made } of steps) this.#unwant(made);
  }

  #unwant(made: readonly RefId[]): void {
    for (const id of made) {
      const count = this.#wanted.get(id)! - 1;
      if (count > 0) this.#wanted.set(id, count);
      else {
        this.#wanted.delete(id);
        this.#options.trees.retire(id);
      }
    }
  }
}

/** The trees without which nothing is left of a step. */
function needed({ made, inputs, subject }: KeptStep): readonly RefId[] {
  return subject?.kind === 'cache' ? inputs.filter((id) => id !== undefined) : made;
}

/** Longer timers end at once. */
const maxTimer = 2 ** 31 - 1;

function several(what: string, text: string): KilnError {
  return new KilnError(
    'invalid_argument',
    `${JSON.stringify(text)} is the beginning of more than one ${what}`,
    {
      hint: 'kiln debug shell --list shows them',
    },
  );
}
