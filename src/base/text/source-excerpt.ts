import type { Range } from '../errors.ts';

const rule = '-'.repeat(20);

export interface SourceLocation {
  readonly filename: string;
  readonly data: Uint8Array;
  readonly ranges: readonly Range[];
}

/** The lines around a location, those that it names marked `>>>`; undefined when the location is not in the text. */
export function sourceExcerpt({ filename, data, ranges }: SourceLocation): string | undefined {
  const lines = Buffer.from(data).toString().split('\n');
  const spans = ranges.map(({ start, end }) => [start.line, Math.max(start.line, end.line)] as const);
  const first = Math.min(...spans.map(([start]) => start));
  const last = Math.min(Math.max(...spans.map(([, end]) => end)), lines.length);
  if (spans.length === 0 || first < 1 || first > lines.length) return undefined;

  // One line alone gets more company than several.
  const around = first === last ? 2 : 1;
  const from = Math.max(first - around, 1);
  const to = Math.min(last + around, lines.length);
  const marked = (line: number) => spans.some(([start, end]) => start <= line && line <= end);
  const numbered = lines.slice(from - 1, to).map((text, index) => {
    const line = from + index;
    return ` ${String(line).padStart(3)} | ${marked(line) ? '>>>' : '   '} ${text}`.trimEnd();
  });
  return [`${filename}:${first}`, rule, ...numbered, rule, ''].join('\n');
}
