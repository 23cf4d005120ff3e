import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { errnoOf } from '../../base/errors.ts';
import { findProgram } from '../../linux/process/find-program.ts';
import type { Architecture } from './architecture.ts';
import { architectureOfStatic } from './static-program.ts';

/** An installed program that runs those of a foreign architecture. */
export interface Emulator {
  readonly architecture: Architecture;
  /** Absolute, on the host. Linked statically: a step need not have its libraries. */
  readonly program: string;
}

/**
 * The installed qemu user emulator of an architecture: Debian's names, then the plain ones, which some distributions link
 * statically. One that needs libraries is none: a step's file tree has those of another architecture.
 */
export async function findEmulator(architecture: Architecture): Promise<Emulator | undefined> {
  for (const name of [`qemu-${architecture.qemuName}-static`, `qemu-${architecture.qemuName}`]) {
    const program = await findProgram(name);
    if (program !== undefined && (await architectureOfStatic(program)) !== undefined)
      return { architecture, program };
  }
  return undefined;
}

/** The first kernel in which a user namespace can have formats of its own. */
const namespacedFormats = [6, 7] as const;

/** Whether containers can have a user namespace with formats of programs (binfmt_misc) of its own. */
export async function canRegisterInContainer(): Promise<boolean> {
  const [major = 0, minor = 0] = release().split('.', 2).map(Number);
  if (major < namespacedFormats[0] || (major === namespacedFormats[0] && minor < namespacedFormats[1])) {
    return false;
  }
  try {
    return Number(await readFile('/proc/sys/user/max_user_namespaces', 'utf8')) > 0;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    return false;
  }
}
