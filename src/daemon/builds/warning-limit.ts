import { boundedText } from '../../api/bounded-text.ts';
import type { WarningEvent } from '../../base/progress.ts';
import { WarningSources } from '../../base/warning-sources.ts';

const maxWarnings = 10_000;
/** Bytes of the texts of all warnings of a build. */
const maxBytes = 16 * 1024 * 1024;
/** Bytes of one text. */
const maxText = 64 * 1024;
const maxLines = 1_000;
const maxRanges = 1_000;

/** Holds the warnings of one build, which frontends and clients write as they like, within bounds. */
export class WarningLimit {
  readonly #sources = new WarningSources();
  #count = 0;
  #bytes = 0;

  /** The warning as it is told, or undefined if there were too many: the last one then says so. */
  admit(event: WarningEvent): WarningEvent | undefined {
    if (this.#count === maxWarnings || this.#bytes > maxBytes) return undefined;
    this.#count++;
    const { source, ranges } = this.#sources.admit(event);
    const bounded = {
      level: event.level,
      short: boundedText(event.short, maxText),
      detail: boundedLines(event.detail ?? []),
      url: event.url === undefined ? undefined : boundedText(event.url, maxText),
      source,
      ranges: ranges?.slice(0, maxRanges),
    };
    this.#bytes += bounded.short.length + (bounded.url?.length ?? 0);
    for (const line of bounded.detail) this.#bytes += line.length;
    if (this.#count < maxWarnings && this.#bytes <= maxBytes) return bounded;
    return { level: 1, short: 'more warnings than are shown: this one and the others are left out' };
  }
}

/** Together as long as one text may be. */
function boundedLines(lines: readonly string[]): readonly string[] {
  const kept: string[] = [];
  let left = maxText;
  for (const line of lines.slice(0, maxLines)) {
    if (left < 100) break;
    kept.push(boundedText(line, left));
    left -= Buffer.byteLength(kept.at(-1)!);
  }
  return kept;
}
