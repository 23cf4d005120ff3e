import { closeSync, readSync } from 'node:fs';
import path from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { openRegularFile } from '../../base/open-regular-file.ts';
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
  const header = Buffer.alloc(headerSize);
  const opened = openIfThere(file);
  if (!opened) return header.subarray(0, 0);
  try {
    return header.subarray(0, readSync(opened.descriptor, header, 0, headerSize, 0));
  } finally {
    closeSync(opened.descriptor);
  }
}

function openIfThere(file: string): ReturnType<typeof openRegularFile> {
  try {
    return openRegularFile(file);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== 'ENOENT' && errno !== 'ENOTDIR') throw error;
    return undefined;
  }
}
