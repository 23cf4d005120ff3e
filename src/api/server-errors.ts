import type { Interceptor } from '@connectrpc/connect';
import { toConnectError } from './error.ts';
import { Control } from './gen/control_pb.js';
import { LLBBridge } from './gen/gateway_pb.js';

/** Of builds, whose failures are told as BuildKit tells them. Callers go by the codes of the other methods, there as here. */
const buildMethods: ReadonlySet<unknown> = new Set([
  Control.method.solve,
  Control.method.prune,
  Control.method.diskUsage,
  Control.method.listWorkers,
  Control.method.listenBuildHistory,
  Control.method.updateBuildHistory,
  LLBBridge.method.solve,
  LLBBridge.method.resolveImageConfig,
  LLBBridge.method.resolveSourceMeta,
  LLBBridge.method.readFile,
  LLBBridge.method.readDir,
  LLBBridge.method.statFile,
  LLBBridge.method.evaluate,
  LLBBridge.method.return,
  LLBBridge.method.inputs,
]);

/**
 * For routers: whatever an implementation throws reaches the caller with its code, message and details. (Clients need no
 * such thing: Connect hands them its own error, which `toKilnError` turns back.)
 */
export const serverErrors: Interceptor = (next) => async (request) => {
  const told = { build: buildMethods.has(request.method) };
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: withErrors(response.message, told) } : response;
  } catch (error) {
    throw toConnectError(error, told);
  }
};

async function* withErrors<T>(
  messages: AsyncIterable<T>,
  told: { readonly build: boolean },
): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toConnectError(error, told);
  }
}
