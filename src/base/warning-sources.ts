import type { WarningEvent } from './progress.ts';

/** Bytes of source that the warnings of one build carry together: each brings the whole file that it is about. */
const defaultLimit = 8 * 1024 * 1024;

/** Leaves the source out of warnings when those before have brought enough of it. What they say stays. */
export class WarningSources {
  readonly #limit: number;
  #used = 0;

  constructor(limit = defaultLimit) {
    this.#limit = limit;
  }

  admit(warning: WarningEvent): WarningEvent {
    const bytes = warning.source?.data.length ?? 0;
    if (this.#used + bytes > this.#limit) return { ...warning, source: undefined, ranges: undefined };
    this.#used += bytes;
    return warning;
  }
}
