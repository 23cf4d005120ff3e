import { readdirSync, readFileSync } from 'node:fs';

/** A process of this machine. */
export interface RunningProcess {
  readonly pid: number;
  /** Its command line. */
  readonly args: readonly string[];
}

/** Lists all processes of this machine. */
export function runningProcesses(): readonly RunningProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
        return [{ pid: Number(pid), args }];
      } catch {
        // The process has ended since it was listed.
        return [];
      }
    });
}
