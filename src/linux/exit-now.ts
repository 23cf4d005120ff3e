import { bind } from './libc.ts';

const exit = bind('void _exit(int status)');

/** _exit(2): ends the process at once. `process.exit` waits for threads, which may be in a call that does not return. */
export function exitNow(status: number): void {
  exit(status);
}
