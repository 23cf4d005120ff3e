import type { CallHandler } from '../api/message-stream.ts';

/** Serves one call of a method: reads and writes messages as bytes. Returning ends the call, throwing a `KilnError` fails it with its code. */
export type AnyMethod = CallHandler;

/**
 * A method of one request and one response, as bytes. Throws what `answer` throws.
 *
 * @example
 * ```ts
 * import { unaryMethod } from 'kiln';
 *
 * const methods = {
 *   '/example.Clock/Now': unaryMethod(async () => Buffer.from(new Date().toISOString())),
 * };
 * assert.equal(typeof methods['/example.Clock/Now'], 'function');
 * ```
 */
export function unaryMethod(
  answer: (request: Uint8Array, signal: AbortSignal) => Uint8Array | Promise<Uint8Array>,
): AnyMethod {
  return async ({ stream, signal }) => {
    let request: Uint8Array | undefined;
    for await (const message of stream) {
      request = message;
      break;
    }
    await stream.send(await answer(request ?? new Uint8Array(), signal));
  };
}
