import { sourceExcerpt } from '../base/text/source-excerpt.ts';
import type { WarningUpdate } from '../client/solve-status.ts';

/** The warnings of a build for the end of its output; '' without any. `detailed` adds what each means and where it comes from. */
export function formatWarnings(
  warnings: readonly WarningUpdate[],
  options: { readonly detailed: boolean },
): string {
  const unique = [...new Map(warnings.map((warning) => [keyOf(warning), warning])).values()];
  if (unique.length === 0) return '';
  const count = unique.length === 1 ? '1 warning found' : `${unique.length} warnings found`;
  const how = options.detailed ? '' : ' (use --debug to expand)';
  const items = unique.map((warning) => {
    if (!options.detailed) return ` - ${warning.short}\n`;
    const excerpt = warning.source && sourceExcerpt({ ...warning.source, ranges: warning.ranges });
    return [
      ` - ${warning.short}\n`,
      ...warning.detail.map((line) => `${line}\n`),
      warning.url ? `More info: ${warning.url}\n` : '',
      excerpt ?? '',
      '\n',
    ].join('');
  });
  return `\n ${count}${how}:\n${items.join('')}`;
}

/** Builds for several platforms warn of the same lines several times. */
function keyOf(warning: WarningUpdate): string {
  return JSON.stringify([warning.short, warning.source?.filename, warning.ranges]);
}
