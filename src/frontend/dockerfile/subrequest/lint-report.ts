import type { KilnError, Range } from '../../../base/errors.ts';
import { sourceExcerpt } from '../../../base/text/source-excerpt.ts';
import type { DockerfileSource } from '../dockerfile-error.ts';
import type { LintFinding } from '../lint/linter.ts';
import type { Answer } from './answer.ts';
import { locationOf } from './location.ts';

/** What the checks found, and why the file would not build. The status code is 1 if there is anything to say. */
export function lintReport(
  source: DockerfileSource,
  findings: readonly LintFinding[],
  failure: KilnError | undefined,
): Answer {
  const { filename, language, data } = source;
  const place = failure?.details.find((detail) => detail.kind === 'source');
  return {
    json: {
      warnings: findings.map(({ rule, message, range }) => ({
        ruleName: rule.name,
        description: rule.description,
        url: rule.url,
        detail: message,
        location: locationOf(range),
      })),
      sources: [{ filename, data: Buffer.from(data).toString('base64'), language }],
      ...(failure && {
        buildError: {
          message: failure.message,
          location: place
            ? { ranges: inOrder(place.ranges).flatMap((range) => locationOf(range).ranges) }
            : {},
        },
      }),
    },
    text: [...findings]
      .sort((a, b) => a.range.start.line - b.range.start.line)
      .map((finding) => findingText(finding, source))
      .join(''),
    statusCode: findings.length > 0 || failure ? 1 : 0,
  };
}

function inOrder(ranges: readonly Range[]): readonly Range[] {
  return ranges.toSorted((a, b) => a.start.line - b.start.line);
}

function findingText({ rule, message, range }: LintFinding, source: DockerfileSource): string {
  const link = rule.url === undefined ? '' : ` - ${rule.url}`;
  return `\nWARNING: ${rule.name}${link}\n${message}\n${excerpt(source, range)}`;
}

function excerpt({ filename, data }: DockerfileSource, range: Range): string {
  return sourceExcerpt({ filename, data, ranges: [range] }) ?? '';
}
