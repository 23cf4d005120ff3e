import type { DescService } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { type Deferred, deferred } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';

type Method = (request: unknown, context: HandlerContext) => unknown;

/**
 * The calls that services are at work on. A caller that goes away leaves its call to clean up, which may take longer than the
 * connection: disposing cancels all calls, and waits until none of them has anything left to do.
 */
export class RunningCalls implements AsyncDisposable {
  readonly #running = new Set<Promise<void>>();
  readonly #streams = new Set<AsyncGenerator<unknown>>();
  readonly #ending = new AbortController();

  /** The service, with its calls counted. */
  of<S extends DescService>(service: Partial<ServiceImpl<S>>): Partial<ServiceImpl<S>> {
    const methods = Object.entries(service as Record<string, Method>).map(([name, method]) => [
      name,
      this.#counted(method),
    ]);
    return Object.fromEntries(methods) as Partial<ServiceImpl<S>>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new KilnError('unavailable', 'the daemon is shutting down'));
    // A reader that has what it wants need not say that it takes no more: a stream that waits for it ends here, with what it cleans up.
    const ended = [...this.#streams].map((stream) => stream.return(undefined));
    await Promise.allSettled(ended);
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #counted(method: Method): Method {
    return (request, context) => {
      const signal = AbortSignal.any([context.signal, this.#ending.signal]);
      const answer = method(request, Object.create(context, { signal: { value: signal } }));
      if (!isStream(answer)) return this.#unary(answer);
      const stream = this.#stream(answer, {
        begin: () => this.#streams.add(stream),
        end: () => this.#streams.delete(stream),
      });
      return stream;
    };
  }

  async #unary(answer: unknown): Promise<unknown> {
    using _call = this.#begin();
    return await answer;
  }

  /** A stream that nobody begins to read has nothing to end. */
  async *#stream(
    answer: AsyncIterable<unknown>,
    life: { readonly begin: () => void; readonly end: () => void },
  ): AsyncGenerator<unknown> {
    using _call = this.#begin();
    life.begin();
    try {
      yield* answer;
    } finally {
      life.end();
    }
  }

  #begin(): Disposable {
    const ended: Deferred<void> = deferred();
    this.#running.add(ended.promise);
    return {
      [Symbol.dispose]: () => {
        this.#running.delete(ended.promise);
        ended.resolve();
      },
    };
  }
}

function isStream(answer: unknown): answer is AsyncIterable<unknown> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer;
}
