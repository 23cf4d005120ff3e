import { open, readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { errnoOf } from '../../base/errors.ts';
import { findProgram } from '../../linux/process/find-program.ts';
import { type Architecture, architectureOfElf } from './architecture.ts';

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
    if (program !== undefined && (await isStatic(program))) return { architecture, program };
  }
  return undefined;
}

const headerSize = 4096;
const segmentTypeInterpreter = 3;

/** Whether a native program has no interpreter (PT_INTERP) that loads libraries. Its program headers are in its first page. */
async function isStatic(program: string): Promise<boolean> {
  await using file = await open(program);
  const header = Buffer.alloc(headerSize);
  const { bytesRead } = await file.read(header, 0, headerSize, 0);
  const architecture = architectureOfElf(header.subarray(0, bytesRead));
  if (architecture?.elfClass !== 2 || architecture.elfData !== 1) return false;
  const segmentsAt = Number(header.readBigUInt64LE(32));
  const segmentSize = header.readUInt16LE(54);
  const count = header.readUInt16LE(56);
  for (let index = 0; index < count; index++) {
    const at = segmentsAt + index * segmentSize;
    if (at + 4 > bytesRead) return false;
    if (header.readUInt32LE(at) === segmentTypeInterpreter) return false;
  }
  return true;
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
