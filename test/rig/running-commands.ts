import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The command lines of all processes of this machine. */
export function runningCommands(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [
          readFileSync(path.join('/proc', pid, 'cmdline'), 'utf8')
            .replaceAll('\0', ' ')
            .trim(),
        ];
      } catch {
        // Ended while we looked.
        return [];
      }
    });
}
