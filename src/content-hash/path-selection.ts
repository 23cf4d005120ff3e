import type { ContentSelection } from './checksum.ts';

/** Selects what is at a path, all of it. */
export function pathSelection(path: string): ContentSelection {
  return {
    path,
    wildcard: false,
    followLinks: true,
    includePatterns: [],
    excludePatterns: [],
    requiredPaths: [],
    rootCounts: true,
  };
}
