import type { IncomingMessage } from 'node:http';
import { KilnError } from '../base/errors.ts';

/** How many bytes, and milliseconds, of an unwanted body are read so that its connection can be used again. */
const discardLimit = 64 * 1024;
const discardTimeout = 1_000;

/** Reads the rest of a body, so that the connection can be used again, or closes the connection if there is much left. Never throws. */
export async function discard(body: IncomingMessage): Promise<void> {
  if (body.closed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => body.destroy(), discardTimeout);
    let size = 0;
    body.on('error', () => {});
    body.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    body.on('data', (chunk: Uint8Array) => {
      size += chunk.length;
      if (size > discardLimit) body.destroy();
    });
  });
}

/** The whole body. Throws `out_of_range` when it has more than `limit` bytes, and otherwise what the connection says. */
export async function readBody(body: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > limit) throw new KilnError('out_of_range', `the answer is larger than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The beginning of a body that explains a failure, as far as it came. Never throws. */
export async function readExplanation(body: IncomingMessage, limit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > limit) break;
    }
  } catch {
    // What arrived is enough for a message.
  }
  return Buffer.concat(chunks).toString('utf8');
}
