/** Milliseconds that one turn of the event loop counts at most. */
const tick = 100;

/** As `AbortSignal.timeout`, but keeps the process alive, and ends with its owner. */
export interface AwakeTimeout extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * Aborts after so many milliseconds in which this process could have seen what it waits for. Time in which its event loop stands
 * still or the machine sleeps does not count: what arrives then lies unread.
 */
export function awakeTimeout(milliseconds: number): AwakeTimeout {
  const controller = new AbortController();
  let left = Math.ceil(milliseconds / tick);
  const timer = setInterval(() => {
    if (--left > 0) return;
    clearInterval(timer);
    controller.abort(new DOMException('it took too long', 'TimeoutError'));
  }, tick);
  return { signal: controller.signal, [Symbol.dispose]: () => clearInterval(timer) };
}
