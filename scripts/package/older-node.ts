/**
 * Explicit resource management for Node 22, which lacks the classes. The package's bundles take their names from here; Node's own are
 * used where there are any.
 */

type Dispose = () => unknown;

class Suppressed extends Error {
  readonly error: unknown;
  readonly suppressed: unknown;

  constructor(error: unknown, suppressed: unknown, message?: string) {
    super(message);
    this.name = 'SuppressedError';
    this.error = error;
    this.suppressed = suppressed;
  }
}

/** What both stacks share: resources in the order in which they were given. */
class Resources {
  #disposals: Dispose[] | undefined = [];

  get disposed(): boolean {
    return this.#disposals === undefined;
  }

  add(dispose: Dispose): void {
    if (!this.#disposals) throw new ReferenceError('the stack is disposed');
    this.#disposals.push(dispose);
  }

  /** Those that were given, in the order in which they are to be disposed. Nothing can be given afterwards. */
  take(): readonly Dispose[] {
    const disposals = this.#disposals ?? [];
    this.#disposals = undefined;
    return disposals.reverse();
  }

  moveTo(other: Resources): void {
    if (this.disposed) throw new ReferenceError('the stack is disposed');
    other.#disposals = [...this.take()].reverse();
  }
}

/** Errors of disposals one after another: each hides those before it. */
class Failures {
  #failed = false;
  #error: unknown;

  add(error: unknown): void {
    this.#error = this.#failed ? new SuppressedErrorClass(error, this.#error) : error;
    this.#failed = true;
  }

  throwIfAny(): void {
    if (this.#failed) throw this.#error;
  }
}

function disposalOf(value: unknown, symbols: readonly symbol[]): Dispose | undefined {
  if (value === null || value === undefined) return undefined;
  for (const symbol of symbols) {
    const method = (value as Record<symbol, unknown>)[symbol];
    if (typeof method === 'function') return () => method.call(value);
  }
  throw new TypeError('the value cannot be disposed');
}

class Stack {
  readonly #resources = new Resources();

  get disposed(): boolean {
    return this.#resources.disposed;
  }

  use<T>(value: T): T {
    const dispose = disposalOf(value, [Symbol.dispose]);
    if (dispose) this.#resources.add(dispose);
    return value;
  }

  adopt<T>(value: T, dispose: (value: T) => void): T {
    this.#resources.add(() => dispose(value));
    return value;
  }

  defer(dispose: () => void): void {
    this.#resources.add(dispose);
  }

  move(): Stack {
    const moved = new Stack();
    this.#resources.moveTo(moved.#resources);
    return moved;
  }

  dispose(): void {
    const failures = new Failures();
    for (const dispose of this.#resources.take()) {
      try {
        dispose();
      } catch (error) {
        failures.add(error);
      }
    }
    failures.throwIfAny();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

class AsyncStack {
  readonly #resources = new Resources();

  get disposed(): boolean {
    return this.#resources.disposed;
  }

  use<T>(value: T): T {
    const dispose = disposalOf(value, [Symbol.asyncDispose, Symbol.dispose]);
    if (dispose) this.#resources.add(dispose);
    return value;
  }

  adopt<T>(value: T, dispose: (value: T) => unknown): T {
    this.#resources.add(() => dispose(value));
    return value;
  }

  defer(dispose: () => unknown): void {
    this.#resources.add(dispose);
  }

  move(): AsyncStack {
    const moved = new AsyncStack();
    this.#resources.moveTo(moved.#resources);
    return moved;
  }

  async disposeAsync(): Promise<void> {
    const failures = new Failures();
    for (const dispose of this.#resources.take()) {
      try {
        await dispose();
      } catch (error) {
        failures.add(error);
      }
    }
    failures.throwIfAny();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disposeAsync();
  }
}

const own = globalThis as unknown as {
  readonly SuppressedError?: typeof Suppressed;
  readonly DisposableStack?: typeof Stack;
  readonly AsyncDisposableStack?: typeof AsyncStack;
};

const SuppressedErrorClass = own.SuppressedError ?? Suppressed;

export { SuppressedErrorClass as SuppressedError };
export const DisposableStack = own.DisposableStack ?? Stack;
export const AsyncDisposableStack = own.AsyncDisposableStack ?? AsyncStack;
