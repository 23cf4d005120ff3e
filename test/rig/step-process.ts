import { readdirSync, readFileSync } from 'node:fs';
import { eventually } from './eventually.ts';

/** The root directory, as seen from here, of the running step whose command line ends in `mark`. Waits for the step. */
export async function rootOfStep(mark: string): Promise<string> {
  const find = () => readdirSync('/proc').find((pid) => commandOf(pid).endsWith(`\0${mark}\0`));
  const pid = await eventually(find, () => `no step runs with ${mark} as its last argument`);
  return `/proc/${pid}/root`;
}

/** Empty for what is no process. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    // It is no process, or has ended.
    return '';
  }
}
