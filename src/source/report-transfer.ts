import type { ProgressWriter, StatusEvent } from '../base/progress.ts';

/** Milliseconds between two reports. */
const reportInterval = 100;

/** Shows the bytes that come in on a line of the progress, until `complete`. */
export function reportTransfer(
  transfer: Pick<StatusEvent, 'id' | 'name' | 'total'>,
  progress: ProgressWriter,
): { readonly advance: (bytes: number) => void; readonly complete: () => void } {
  const line = { ...transfer, started: new Date() };
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
