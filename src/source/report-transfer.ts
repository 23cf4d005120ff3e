import type { ProgressWriter } from '../base/progress.ts';

/** Milliseconds between two reports. */
const reportInterval = 100;

/** Shows the bytes of a directory that come in as the line `transferring NAME:`, until `complete`. */
export function reportTransfer(
  name: string,
  progress: ProgressWriter,
): { readonly advance: (bytes: number) => void; readonly complete: () => void } {
  const line = { id: `transferring ${name}:`, name: 'transferring', started: new Date() };
  let current = 0;
  let reported = Date.now();
  progress.status(line);
  return {
    advance(bytes) {
      current += bytes;
      const now = Date.now();
      if (now - reported < reportInterval) return;
      reported = now;
      progress.status({ ...line, current });
    },
    complete: () => progress.status({ ...line, current, completed: new Date() }),
  };
}
