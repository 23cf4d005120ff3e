import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { abortError } from '../../base/async/lifetime.ts';
import { type Digest, Digester } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { reportTransfer } from '../../base/report-transfer.ts';
import { isBrokenConnection, networkReason } from '../../http/network-failure.ts';
import type { GrowingFile } from '../../tree/tree-maker.ts';
import type { SourceContext } from '../source.ts';
import type { IncomingFile } from './incoming-file.ts';

/**
 * Writes the data of a new file, and returns its digest. Throws `unavailable` when the connection breaks, which may pass by itself, and
 * `data_loss` for what is not gzip although its sender says so.
 */
export async function writeDownload(
  file: GrowingFile,
  name: string,
  { bytes, compressed, size }: IncomingFile,
  { signal, progress }: SourceContext,
): Promise<Digest> {
  const digester = new Digester();
  const line = { id: `downloading ${name}`, name: 'downloading', total: size };
  const transfer = reportTransfer(line, progress);
  const observe = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      digester.update(chunk);
      transfer.advance(chunk.length);
      yield chunk;
    }
  };
  try {
    await file.writeAll(observe(compressed ? unzipped(bytes, signal) : bytes), signal);
  } catch (error) {
    throw signal.aborted ? abortError(signal) : transferFailure(error);
  } finally {
    transfer.complete();
  }
  return digester.digest();
}

async function* unzipped(bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  const fed = pipeline(bytes, gunzip, { signal });
  // Where it fails, so does what is read of it.
  fed.catch(() => {});
  yield* gunzip;
  await fed;
}

/** What the disk or the client says stays as it is; what the connection says may pass by itself. */
function transferFailure(error: unknown): KilnError {
  const { code } = error as { code?: unknown };
  if (typeof code !== 'string' || error instanceof KilnError) return asKilnError(error);
  if (code.startsWith('Z_'))
    return new KilnError('data_loss', 'what came is no valid gzip', { cause: error });
  if (!isBrokenConnection(error)) return asKilnError(error);
  return new KilnError('unavailable', `the transfer broke off: ${networkReason(error)}`, { cause: error });
}
