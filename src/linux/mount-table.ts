import { readFileSync } from 'node:fs';
import { unmount } from './mount.ts';

/** Undoes the `\ooo` escapes of proc(5)'s mount tables. */
function unescapeField(field: string): Buffer {
  return Buffer.from(
    field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    'latin1',
  );
}

/** The mount points at and below `dir` (absolute, real path), in the order they were mounted; a point appears once per mount on it. */
export function mountPointsBelow(dir: string): Buffer[] {
  const wanted = Buffer.from(dir.endsWith('/') && dir !== '/' ? dir.slice(0, -1) : dir);
  const below = Buffer.from(dir.endsWith('/') ? dir : `${dir}/`);
  return readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => unescapeField(line.split(' ')[4]!))
    .filter((point) => point.equals(wanted) || point.subarray(0, below.length).equals(below));
}

/** Unmounts everything at and below `dir`, the last mounted first. Returns how many mounts there were. */
export function unmountBelow(dir: string): number {
  const points = mountPointsBelow(dir);
  for (const point of points.toReversed()) unmount(point);
  return points.length;
}
