import { KilnError } from '../../base/errors.ts';
import { readBody } from '../../http/read-body.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { networkError } from '../network-error.ts';
import type { BlobServer } from './blob-download.ts';
import { answeredOffset } from './byte-range.ts';

/**
 * Reads bytes of a blob, which nobody has verified. Throws `failed_precondition` when the server does not send parts, `data_loss` when it sends another
 * part, and `unavailable` when some are missing.
 */
export async function readBlobPart(
  server: BlobServer,
  { repository, descriptor }: { readonly repository: string; readonly descriptor: Descriptor },
  range: { readonly offset: number; readonly length: number },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const what = `${repository}: blob ${descriptor.digest} from ${server.host}`;
  const answer = await server.open(range, signal);
  try {
    const { status, headers } = answer;
    if (status !== 206 || headers['content-encoding'] !== undefined) {
      throw new KilnError('failed_precondition', `${what}: the server does not send parts`);
    }
    answeredOffset(answer, range, descriptor.size, what);
    const bytes = await readBody(answer.body, range.length).catch((error: unknown) => {
      throw error instanceof KilnError ? error.wrap(what) : networkError(error, repository, server.host);
    });
    if (bytes.length === range.length) return bytes;
    throw new KilnError('unavailable', `${what} ended after ${bytes.length} of ${range.length} bytes`);
  } finally {
    answer.body.destroy();
  }
}
