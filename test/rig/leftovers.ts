import { readFileSync } from 'node:fs';
import { runningProcesses } from './running-processes.ts';

/** Mounts and processes that an engine on `root` left behind, in words; empty when there are none. */
export function leftoversOf(root: string): readonly string[] {
  return [...mountsBelow(root), ...processesNaming(root)];
}

function mountsBelow(root: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => isBelow(point, root))
    .map((point) => `mounted: ${point}`);
}

/**
 * Container runtimes have their bundle below the root as an argument; the processes of containers have their root there. Any process may have begun in a
 * copy of the mounts that were below the root then.
 */
function processesNaming(root: string): readonly string[] {
  return runningProcesses().flatMap(({ pid, args }) => {
    if (pid === process.pid) return [];
    const command = args.join(' ');
    const mounts = mountsOf(pid).filter((line) => !isBelow(line.split(' ')[4] ?? '', root));
    const isOfRoot =
      command.includes(root) ||
      mounts.some((line) => line.includes(` ${root}/`) || line.includes(`${root}/executor`));
    return isOfRoot ? [`running: ${pid} ${command}`] : [];
  });
}

function mountsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n');
  } catch {
    // The process has ended since it was listed.
    return [];
  }
}

function isBelow(point: string, root: string): boolean {
  return point === root || point.startsWith(`${root}/`);
}
