import { posix } from 'node:path';

/** The shortest path that means the same: Go's `path.Clean`. No trailing slash but for the root; `.` for the empty path. */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

/** The parts joined with slashes and cleaned, empty ones left out: Go's `path.Join`. */
export function joinPath(...parts: readonly string[]): string {
  const joined = parts.filter((part) => part !== '').join('/');
  return joined === '' ? '' : cleanPath(joined);
}
