import type { Transport } from '@connectrpc/connect';
import { toKilnError } from './error.ts';

/** For clients: calls through the answered transport fail with KilnErrors. (An interceptor cannot: Connect wraps what it throws.) */
export function withKilnErrors(transport: Transport): Transport {
  return {
    async unary(...call) {
      try {
        return await transport.unary(...call);
      } catch (error) {
        throw toKilnError(error);
      }
    },
    async stream(...call) {
      try {
        const response = await transport.stream(...call);
        return { ...response, message: withErrors(response.message) };
      } catch (error) {
        throw toKilnError(error);
      }
    },
  };
}

async function* withErrors<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toKilnError(error);
  }
}
