import { closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import { type Architecture, architectureOfElf } from './architecture.ts';

const headerSize = 256;
/** How often an interpreter may itself be a script, as the kernel has it. */
const maxInterpreters = 4;

/**
 * The architecture of a program, or of the interpreter that a script names in its first line; `locate` finds files of the script's
 * tree on the host. Undefined for what is neither a script nor a program of an architecture that is known.
 */
export function architectureOfProgram(
  file: string,
  locate: (name: string) => string,
): Architecture | undefined {
  let program = file;
  for (let depth = 0; depth <= maxInterpreters; depth++) {
    const header = beginningOf(program);
    const [, interpreter] = /^#![ \t]*([^\s\0]+)/.exec(header.toString('latin1')) ?? [];
    if (interpreter === undefined) return architectureOfElf(header);
    program = locate(path.posix.resolve('/', Buffer.from(interpreter, 'latin1').toString()));
  }
  return undefined;
}

/** Empty for what is no file: a tree can have a pipe there, which nobody writes to. */
function beginningOf(file: string): Buffer {
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) return Buffer.alloc(0);
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const header = Buffer.alloc(headerSize);
    return header.subarray(0, readSync(descriptor, header, 0, headerSize, 0));
  } finally {
    closeSync(descriptor);
  }
}
