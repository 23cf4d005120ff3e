import { appendFileSync, copyFileSync } from 'node:fs';
import type { WorkDirectory } from '../rig/work-directory.ts';

/** A busybox that does the same and has other bytes. */
export function otherBusybox(work: WorkDirectory): string {
  const file = work.at('busybox');
  copyFileSync('/bin/busybox', file);
  appendFileSync(file, '\0');
  return file;
}
