import type { ProgressWriter, StatusEvent } from './progress.ts';

/** Milliseconds between two reports. */
const reportInterval = 100;

export interface TransferReport {
  /** More bytes have come. */
  readonly advance: (bytes: number) => void;
  /** So many bytes have come in all. */
  readonly reach: (bytes: number) => void;
  readonly complete: () => void;
}

/** Shows the bytes of a transfer on a line of the progress: at its beginning, now and then, and at its end. */
export function reportTransfer(
  transfer: Pick<StatusEvent, 'id' | 'name' | 'total' | 'current'>,
  progress: ProgressWriter,
): TransferReport {
  const line = { ...transfer, started: new Date() };
  let current = 0;
  let reported = Date.now();
  progress.status(line);
  const reach = (bytes: number) => {
    current = bytes;
    const now = Date.now();
    if (now - reported < reportInterval) return;
    reported = now;
    progress.status({ ...line, current });
  };
  return {
    advance: (bytes) => reach(current + bytes),
    reach,
    complete: () => progress.status({ ...line, current, completed: new Date() }),
  };
}
