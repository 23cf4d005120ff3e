import { bind, check } from '../libc.ts';

const pipe2 = bind('int pipe2(int *ends, int flags)');
const closeOnExec = 0o2000000;

/** A pipe whose ends programs that are executed do not inherit, unless given to them. The caller closes both ends. */
export function openPipe(): { readonly readEnd: number; readonly writeEnd: number } {
  const ends = new Int32Array(2);
  check(pipe2(ends, closeOnExec), 'pipe2');
  return { readEnd: ends[0]!, writeEnd: ends[1]! };
}
