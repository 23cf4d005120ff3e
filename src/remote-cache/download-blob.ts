import { abortError } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import type { ContentStore } from '../content/content.ts';
import { isTransient } from '../http/network-failure.ts';
import { backOff, defaultRetry, type RetryPolicy, worthwhileProgress } from '../http/retry.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { FetchAccess } from './cache-backend.ts';

/**
 * Brings a blob into `store` through requests for its bytes from an offset on. A request that breaks off is made again for the rest; one
 * that brought much does not count as failed. Throws what `open` throws, and `data_loss` for bytes that are not the blob.
 */
export async function downloadBlob(
  blob: Descriptor,
  store: ContentStore,
  { signal, onProgress }: FetchAccess,
  open: (offset: number) => Promise<AsyncIterable<Uint8Array>>,
  retry: RetryPolicy = defaultRetry,
): Promise<void> {
  await using writer = await store.writer({ digest: blob.digest, size: blob.size });
  let received = 0;
  const receive = async () => {
    for await (const chunk of await open(received)) {
      if (signal.aborted) throw abortError(signal);
      if (received + chunk.length > blob.size)
        throw new KilnError('data_loss', `more than the ${blob.size} bytes of blob ${blob.digest} were sent`);
      await writer.write(chunk);
      received += chunk.length;
      onProgress?.(received);
    }
    if (received < blob.size)
      throw new KilnError('unavailable', `blob ${blob.digest} ended after ${received} of ${blob.size} bytes`);
  };
  for (let failed = 0; received < blob.size; ) {
    const before = received;
    try {
      await receive();
    } catch (error) {
      if (signal.aborted) throw abortError(signal);
      failed = received - before >= worthwhileProgress(blob.size) ? 1 : failed + 1;
      if (failed >= retry.attempts || !isTransient(error)) throw error;
      await backOff(retry, failed, error, signal);
    }
  }
  await writer.commit();
}
