import type { DatabaseSync } from 'node:sqlite';
import type { Platform } from '../../base/platform.ts';
import type { EntryComparer } from '../../content-hash/content-entries.ts';
import type { LookupAccount, SolverObserver } from '../../solver/solver.ts';
import type { JobEvents } from '../job-events.ts';
import { AccountStore } from './account-store.ts';
import { BuildExplanations } from './build-explanations.ts';

export interface ExplainerOptions {
  readonly database: DatabaseSync;
  readonly entries: EntryComparer;
  /** Of ops that name none. */
  readonly platform: Platform;
}

/** Explains, for every step that ran although an earlier build had a similar one, what differs. There is one for all builds of a solver. */
export class Explainer implements SolverObserver {
  readonly #accounts: AccountStore;
  readonly #options: ExplainerOptions;
  readonly #builds = new Map<string, BuildExplanations>();

  constructor(options: ExplainerOptions) {
    this.#options = options;
    this.#accounts = new AccountStore(options.database);
  }

  /** Begins the explanations of build `id`; `events` gets them. The caller disposes them when nothing of the build runs any more. */
  begin(id: string, events: JobEvents): BuildExplanations {
    const { entries, platform } = this.#options;
    const build = new BuildExplanations({
      accounts: this.#accounts,
      entries,
      platform,
      events,
      onEnd: () => this.#builds.delete(id),
    });
    this.#builds.set(id, build);
    return build;
  }

  executing(lookup: LookupAccount): void {
    for (const id of lookup.jobs) this.#builds.get(id)?.executing(lookup);
  }

  reused({ jobs, keys }: { readonly jobs: readonly string[]; readonly keys: readonly string[] }): void {
    for (const id of jobs) this.#builds.get(id)?.reused(keys);
  }
}
