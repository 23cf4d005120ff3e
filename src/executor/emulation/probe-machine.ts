import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf } from '../../base/errors.ts';
import { spawnProcess } from '../../linux/process/spawn-process.ts';
import { type Architecture, architectures } from './architecture.ts';
import { probeProgram, probeStatus } from './probe-program.ts';

/** How long a program that only exits may take, in milliseconds. */
const probeTimeout = 10_000;

/** The directory in the one that `probeMachine` is given. */
const placeName = 'probe';

/**
 * The architectures whose programs this machine runs in any file tree: by its processor, or by an emulator that is registered with the
 * kernel and needs nothing of the tree (binfmt_misc with the flag F). Finds out by running a program of each. The programs stay
 * in a directory below `directory`, to be run again.
 */
export async function probeMachine(
  directory: string,
  wanted: readonly Architecture[] = architectures,
): Promise<readonly Architecture[]> {
  const place = path.join(directory, placeName);
  await mkdir(place, { recursive: true, mode: 0o700 });
  const found = await Promise.all(
    wanted.map(async (architecture) => {
      const name = `run-${architecture.name}`;
      await keepProgram(path.join(place, name), probeProgram(architecture));
      return (await runsIn(place, name)) ? [architecture] : [];
    }),
  );
  return found.flat();
}

/** Writes the program unless it is there: one that runs cannot be written to. */
async function keepProgram(file: string, program: Uint8Array): Promise<void> {
  const kept = await readFile(file).catch(unlessMissing);
  if (!kept?.equals(program)) await writeFile(file, program, { mode: 0o700 });
}

function unlessMissing(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error;
  return undefined;
}

/** The first run finds a format that nobody knows, which costs little; the second one has nothing but the program in its file tree. */
async function runsIn(place: string, name: string): Promise<boolean> {
  return (await ends(path.join(place, name), [])) && (await ends('chroot', [place, `/${name}`]));
}

async function ends(program: string, args: readonly string[]): Promise<boolean> {
  const output = openSync('/dev/null', 'w');
  try {
    const child = spawnProcess({ program, args, cwd: '/', stdout: output, stderr: output });
    const limit = new AbortController();
    const tooLong = delay(probeTimeout, undefined, { signal: limit.signal }).then(
      () => process.kill(child.pid, 'SIGKILL'),
      () => {},
    );
    const end = await child.ended;
    limit.abort();
    await tooLong;
    return end.kind === 'exited' && end.code === probeStatus;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  } finally {
    closeSync(output);
  }
}
