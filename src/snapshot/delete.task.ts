import { rmSync } from 'node:fs';

/** Removes whole trees. */
export default function deleteTask(paths: readonly string[]): void {
  for (const path of paths) rmSync(path, { recursive: true, force: true });
}
