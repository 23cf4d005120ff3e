import type { Interceptor } from '@connectrpc/connect';
import { toConnectError } from './error.ts';

/**
 * For routers: whatever an implementation throws reaches the caller with its code, message and details. (Clients need no
 * such thing: Connect hands them its own error, which `toKilnError` turns back.)
 */
export const serverErrors: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: withErrors(response.message) } : response;
  } catch (error) {
    throw toConnectError(error);
  }
};

async function* withErrors<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toConnectError(error);
  }
}
