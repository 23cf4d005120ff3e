import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Mounts, processes and control groups that an engine on `root` left behind, in words; empty when there are none. */
export function leftoversOf(root: string): readonly string[] {
  return [...mountsBelow(root), ...processesNaming(root)];
}

function mountsBelow(root: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point === root || point.startsWith(`${root}/`))
    .map((point) => `mounted: ${point}`);
}

/** Containers' runtimes have their bundle below the root as an argument; containers' processes have their root there. */
function processesNaming(root: string): readonly string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    try {
      const command = readFileSync(path.join('/proc', pid, 'cmdline'), 'utf8')
        .replaceAll('\0', ' ')
        .trim();
      const mounts = readFileSync(path.join('/proc', pid, 'mountinfo'), 'utf8');
      if (command.includes(root) || mounts.includes(` ${root}/`) || mounts.includes(`${root}/executor`)) {
        found.push(`running: ${pid} ${command}`);
      }
    } catch {
      // Ended while we looked.
    }
  }
  return found;
}
