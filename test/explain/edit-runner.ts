import { makeBaseLayout } from '../../scripts/make-base-layout.ts';
import type { BuildEvents } from '../rig/build-events.ts';
import type { Kiln } from '../rig/kiln.ts';
import type { WorkDirectory } from '../rig/work-directory.ts';
import type { Edit } from './edit.ts';
import { explainedProject } from './explained-project.ts';
import { otherBusybox } from './other-busybox.ts';

/** What ran (`stage: instruction`), each with why it was not cached; empty where nothing is said. */
export type Outcome = Readonly<Record<string, string>>;

/** Builds the project, then each edit of it, at one daemon. */
export class EditRunner {
  readonly #kiln: Kiln;
  readonly #work: WorkDirectory;
  readonly #newBase: string;
  /** Whether the project as it is was what was built last, or something equal. */
  #isOriginal = false;

  constructor(kiln: Kiln, work: WorkDirectory) {
    this.#kiln = kiln;
    this.#work = work;
    this.#newBase = work.at('base');
    makeBaseLayout(this.#newBase, otherBusybox(work));
  }

  async run(edit: Edit): Promise<Outcome> {
    if (!this.#isOriginal) await this.#kiln.build(this.#work.tree(explainedProject));
    if (edit.pruned) await this.#kiln.must(['prune', '--all']);
    const context = this.#work.tree(explainedProject);
    edit.change?.(context);
    const base = edit.newBase ? ['--build-context', `base=oci-layout://${this.#newBase}:latest`] : [];
    this.#isOriginal = false;
    const { events } = await this.#kiln.build(context, [...base, ...(edit.args ?? [])]);
    const outcome = whatRan(events);
    this.#isOriginal = Object.keys(outcome).length === 0;
    return outcome;
  }
}

/** `[platform stage 2/4] instruction`. */
const stepName = /^\[(?:\S+\/\S+ )?(\S+) +\d+\/\d+\] (.*)$/s;

function whatRan(events: BuildEvents): Outcome {
  const steps = events.vertices.flatMap(({ name, cached, digest, completed }) => {
    const match = stepName.exec(name);
    if (!match || cached || !completed || match[2]!.startsWith('FROM ')) return [];
    return [[`${match[1]}: ${match[2]}`, events.explanation(digest) ?? ''] as const];
  });
  return Object.fromEntries(steps.sort(([a], [b]) => (a < b ? -1 : 1)));
}
