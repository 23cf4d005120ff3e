import { hasWildcard } from '../base/pattern/pattern.ts';
import type { ContentSelection } from './checksum.ts';

/** Whether a selection names entries by patterns: it is a list of them then, rather than one entry with all that is in it. */
export function isFiltered({ path, wildcard, includePatterns, excludePatterns }: ContentSelection): boolean {
  return (wildcard && hasWildcard(path)) || includePatterns.length > 0 || excludePatterns.length > 0;
}
