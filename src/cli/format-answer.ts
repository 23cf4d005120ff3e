import type { Range } from '../base/errors.ts';
import { sourceExcerpt } from '../base/text/source-excerpt.ts';
import type { Call } from './options/values/parse-call.ts';

export interface AnswerText {
  readonly text: string;
  /** What to exit with. */
  readonly status: number;
}

/** A frontend's answer to a question, for people or for programs. */
export function answerText({ name, format }: Call, answer: ReadonlyMap<string, Uint8Array>): AnswerText {
  const field = (key: string) => Buffer.from(answer.get(key) ?? []).toString();
  const status = Number(field('result.statuscode') || 0);
  if (format === 'json') return { text: `${field('result.json')}\n`, status };
  const text = field('result.txt');
  return { text: name === 'lint' ? lintText(text, field('result.json')) : text, status };
}

interface LintResult {
  readonly warnings?: readonly unknown[] | null;
  readonly sources?: readonly { readonly filename?: string; readonly data?: string }[] | null;
  readonly buildError?: {
    readonly message: string;
    readonly location?: { readonly sourceIndex?: number; readonly ranges?: readonly WireRange[] };
  };
}

/** Zeros are left out. */
interface WireRange {
  readonly start?: { readonly line?: number };
  readonly end?: { readonly line?: number };
}

/** The findings with how many there are, and what would make a build fail. */
function lintText(findings: string, json: string): string {
  const { warnings, sources, buildError }: LintResult = JSON.parse(json);
  const count = warnings?.length ?? 0;
  const summary =
    count === 0
      ? buildError
        ? ''
        : 'Check complete, no warnings found.\n'
      : `Check complete, ${count === 1 ? '1 warning has' : `${count} warnings have`} been found!\n`;
  if (!buildError) return summary + findings;
  const { sourceIndex = 0, ranges = [] } = buildError.location ?? {};
  const source = sources?.[sourceIndex];
  const excerpt =
    source &&
    sourceExcerpt({
      filename: source.filename ?? '',
      data: Buffer.from(source.data ?? '', 'base64'),
      ranges: ranges.map(rangeOf),
    });
  return `${summary}${findings}${count > 0 ? '\n' : ''}error: ${buildError.message}\n${excerpt ?? ''}`;
}

function rangeOf({ start, end }: WireRange): Range {
  return {
    start: { line: start?.line ?? 0, character: 0 },
    end: { line: end?.line ?? 0, character: 0 },
  };
}
