import type { CallHandler } from '../api/message-stream.ts';
import { KilnError } from '../base/errors.ts';

/** What one service of a client serves: handlers by full method name. */
export type Service = Readonly<Record<string, CallHandler>>;

/** The services that a client offers in its session. */
export interface ServiceHost {
  /** Full names, to be announced. */
  readonly methods: readonly string[];
  /** Method names are compared without case. */
  handler(method: string): CallHandler | undefined;
}

/** Throws `already_exists` when two services have a method in common. */
export function createServiceHost(services: readonly Service[]): ServiceHost {
  const handlers = new Map<string, CallHandler>();
  const methods: string[] = [];
  for (const service of services) {
    for (const [method, handler] of Object.entries(service)) {
      const key = method.toLowerCase();
      if (handlers.has(key))
        throw new KilnError('already_exists', `method ${method} is served twice in one session`);
      handlers.set(key, handler);
      methods.push(method);
    }
  }
  return { methods, handler: (method) => handlers.get(method.toLowerCase()) };
}
