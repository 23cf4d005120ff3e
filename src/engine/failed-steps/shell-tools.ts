import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { KilnError } from '../../base/errors.ts';
import { hostPlatform } from '../../base/platform.ts';
import { architectureOfStatic } from '../../executor/emulation/static-program.ts';
import { findProgram } from '../../linux/process/find-program.ts';

/** Where a static busybox is, in the order of preference: what is on the path need not be static. */
const places = [
  'busybox',
  '/bin/busybox',
  '/usr/bin/busybox',
  '/usr/lib/busybox/bin/busybox',
  'busybox-static',
];
/** Milliseconds in which a busybox says what it is. */
const patience = 5_000;
const program = 'busybox';

const run = promisify(execFile);

/** A shell and the usual commands for trees that have none: the machine's busybox, if that needs no libraries, in a directory to be mounted. */
export class ShellTools {
  readonly #directory: string;
  #made: Promise<void> | undefined;

  /** `directory` is made anew when the tools are first needed. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The directory: `sh` is in it. Throws `not_found` if the machine has no such program. */
  async directory(): Promise<string> {
    this.#made ??= this.#make().catch((error) => {
      // It may be installed meanwhile.
      this.#made = undefined;
      throw error;
    });
    await this.#made;
    return this.#directory;
  }

  async #make(): Promise<void> {
    const found = await findBusybox();
    if (!found) {
      throw new KilnError(
        'not_found',
        'the files of the failed step have no shell, and this machine has no static busybox to bring along',
        { hint: 'install it where the engine runs: apt-get install busybox-static' },
      );
    }
    await rm(this.#directory, { recursive: true, force: true });
    await mkdir(this.#directory, { recursive: true });
    // Whoever the step runs as.
    await chmod(this.#directory, 0o755);
    await copyFile(found.file, path.join(this.#directory, program));
    await chmod(path.join(this.#directory, program), 0o755);
    for (const name of found.commands) await symlink(program, path.join(this.#directory, name));
  }
}

async function findBusybox(): Promise<
  { readonly file: string; readonly commands: readonly string[] } | undefined
> {
  for (const place of places) {
    const file = await findProgram(place);
    if (file === undefined) continue;
    try {
      const architecture = await architectureOfStatic(file);
      if (architecture?.name !== hostPlatform().architecture) continue;
      const { stdout } = await run(file, ['--list'], { timeout: patience });
      const commands = new Set(
        stdout.split('\n').filter((name) => /^[^/\s]+$/.test(name) && name !== program),
      );
      if (commands.has('sh')) return { file, commands: [...commands] };
    } catch {
      // One that cannot be read or run is none.
    }
  }
  return undefined;
}
