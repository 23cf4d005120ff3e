import { asKilnError, KilnError } from '../../base/errors.ts';
import type { ImmutableRef } from '../../ref/ref.ts';

/**
 * Does work that reads trees, some of whose files may come over the network while they are read. The kernel tells a reader only that a file
 * cannot be read; when the work fails, its error says why. When `signal` aborts, the work's threads do not wait for files any more.
 */
export async function withReadFailures<T>(
  trees: readonly (ImmutableRef | undefined)[],
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  using readers = new DisposableStack();
  const all = trees.flatMap((tree) => readers.use(tree?.reader(signal)) ?? []);
  try {
    return await work();
  } catch (error) {
    const failure = all.map((reader) => reader.failure()).find((each) => each !== undefined);
    if (!failure || signal.aborted) throw error;
    const { code, message, hint, details } = asKilnError(error);
    throw new KilnError(code, `${message}: ${failure.message}`, {
      cause: error,
      hint: failure.hint ?? hint,
      details,
    });
  }
}
