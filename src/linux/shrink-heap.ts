import { bindIfPresent } from './libc.ts';

/** V8's own functions, by the names under which Node exports them to add-ons. */
const currentIsolate = bindIfPresent('void *_ZN2v87Isolate10GetCurrentEv()');
const notifyPressure = bindIfPresent(
  'void _ZN2v87Isolate26MemoryPressureNotificationENS_19MemoryPressureLevelE(void *isolate, int level)',
);

const pressure = { none: 0, moderate: 1 };

/**
 * Starts a collection of this thread's garbage after which its heap gives back the pages it does not use. It is done in small
 * steps while the event loop turns, where `gc()` would stop it for the whole of it. A Node without these functions collects all
 * at once, if it was started with `--expose-gc`.
 */
export function shrinkHeap(): void {
  if (!currentIsolate || !notifyPressure) {
    globalThis.gc?.();
    return;
  }
  const isolate = currentIsolate();
  notifyPressure(isolate, pressure.moderate);
  // The collection has begun. What comes after it need not be frugal.
  notifyPressure(isolate, pressure.none);
}
