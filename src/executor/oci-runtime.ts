import { access, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { abortable } from '../base/async/lifetime.ts';
import { errnoOf, KilnError } from '../base/errors.ts';
import { findProgram } from '../linux/process/find-program.ts';
import { OutputPipe } from '../linux/process/output-pipe.ts';
import { spawnProcess } from '../linux/process/spawn-process.ts';
import type { ProcessDialog, ProcessIo } from './executor.ts';
import { type ProcessStreams, pipeStreams } from './process-streams.ts';
import { RuntimeControl } from './runtime-control.ts';
import { ownTerminalStreams, passedTerminalStreams } from './terminal-streams.ts';

/** A program that runs OCI bundles. */
export interface OciRuntime {
  readonly name: string;
  /** The command line up to the runtime's own options. */
  readonly command: readonly string[];
}

/** How a container ended. */
export type ContainerExit =
  /** The process ran; a signal shows as code 128 + its number. */
  | { readonly kind: 'exited'; readonly code: number }
  /** The runtime could not start the process, and says why. */
  | { readonly kind: 'not-started'; readonly reason: string };

/** One call of a runtime that lasts as long as the process which it starts. */
export interface RunContainer {
  /** The container's. */
  readonly id: string;
  /** Nobody else's: the runtime's log and the process's id go there. It is also the bundle with `config.json` if the container is started. */
  readonly directory: string;
  /** The runtime's own state of its containers. */
  readonly stateDir: string;
  readonly onOutput: ProcessIo['onOutput'];
  readonly dialog?: ProcessDialog;
  /** Aborted once the process is being ended: what others who got hold of its output might write is not waited for. */
  readonly signal: AbortSignal;
  /** Called as soon as the runtime's process exists. */
  onStarted(runtimePid: number): void;
}

export interface ExecInContainer extends RunContainer {
  /** The process, as the `process` of a `config.json` describes it. */
  readonly processFile: string;
}

const unifiedControllers = '/sys/fs/cgroup/unified/cgroup.controllers';

/**
 * `wanted` is a name or an absolute path; without one crun is taken when there is one (it starts a container
 * several times faster), else runc. Throws `failed_precondition` when there is none, with the command that installs one.
 */
export async function findOciRuntime(wanted?: string): Promise<OciRuntime> {
  for (const name of wanted === undefined ? ['crun', 'runc'] : [wanted]) {
    const program = await findProgram(name);
    if (program === undefined) continue;
    const base = path.basename(program);
    return { name: base, command: base === 'crun' ? await crunCommand(program) : [program] };
  }
  throw new KilnError(
    'failed_precondition',
    wanted === undefined
      ? 'no OCI runtime: neither crun nor runc is installed'
      : `no OCI runtime: ${wanted} is not installed`,
    { hint: 'install one: apt-get install crun' },
  );
}

/**
 * crun refuses to work on a host that has cgroup v1 and also some controller on v2. All it needs of v2 is not
 * to see it, so there it runs in a mount namespace of its own where that hierarchy is unmounted.
 */
async function crunCommand(program: string): Promise<string[]> {
  let controllers = '';
  try {
    controllers = (await readFile(unifiedControllers, 'utf8')).trim();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  if (controllers === '') return [program];
  const script = `umount -l ${path.dirname(unifiedControllers)} && exec "$0" "$@"`;
  return ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', script, program];
}

/** Runs a bundle to its end; the runtime removes the container itself. Ending it early is the caller's: kill its cgroup. */
export function runContainer(runtime: OciRuntime, run: RunContainer): Promise<ContainerExit> {
  return call(runtime, run, ['run', '--bundle', run.directory]);
}

/** Runs another process in a running container to its end. Ending it early is the caller's. */
export function execInContainer(runtime: OciRuntime, exec: ExecInContainer): Promise<ContainerExit> {
  return call(runtime, exec, ['exec', '--process', exec.processFile]);
}

/** Whether a container takes other processes. */
export async function isRunning(
  { command }: OciRuntime,
  { id, stateDir }: Pick<RunContainer, 'id' | 'stateDir'>,
): Promise<boolean> {
  using said = new OutputPipe();
  using complaints = new OutputPipe();
  const [program, ...options] = [...command, '--root', stateDir, 'state', id];
  const { ended } = spawnProcess({
    program: program!,
    args: options,
    cwd: '/',
    stdout: said.writeEnd,
    stderr: complaints.writeEnd,
  });
  const chunks: Uint8Array[] = [];
  await Promise.all([ended, said.start((chunk) => void chunks.push(chunk)), complaints.start(() => {})]);
  try {
    const { status } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { status?: unknown };
    return status === 'running';
  } catch {
    // It does not know the container yet.
    return false;
  }
}

async function call(
  runtime: OciRuntime,
  run: RunContainer,
  command: readonly ['run' | 'exec', ...string[]],
): Promise<ContainerExit> {
  const log = path.join(run.directory, 'log.json');
  const pidFile = path.join(run.directory, 'pid');
  // Runtimes append to it, and would make it with whatever mode the umask leaves.
  await writeFile(log, '', { mode: 0o600 });
  using streams = streamsOf(runtime, run);
  const [program, ...options] = [
    ...runtime.command,
    ...['--root', run.stateDir, '--log', log, '--log-format', 'json'],
    ...[...command, '--pid-file', pidFile, ...streams.options, run.id],
  ];
  // In a group of its own: Ctrl-C in the terminal is for Kiln to handle, not for what runs in containers.
  const { pid, ended } = spawnProcess({ program: program!, args: options, cwd: '/', ...streams.ofRuntime });
  const output = streams.start((stream, data) => run.onOutput(stream, data), {
    pid,
    ended: ended.then(
      () => {},
      () => {},
    ),
  });
  run.onStarted(pid);
  using control = new RuntimeControl(command[0] === 'run' ? pid : undefined, pidFile, streams);
  run.dialog?.onStarted(control);
  if (run.dialog?.input) streams.feed(run.dialog.input);
  const finished = ended.finally(() => control[Symbol.dispose]());
  const [end] = await Promise.all([
    finished,
    Promise.race([output, finished.then(() => untilAborted(output, run.signal))]),
  ]);
  if (end.kind === 'killed') {
    return { kind: 'not-started', reason: `${runtime.name} was ended by signal ${end.signal}` };
  }
  if (end.code !== 0 && !(await exists(pidFile))) {
    return { kind: 'not-started', reason: await lastLogged(log, runtime.name) };
  }
  return { kind: 'exited', code: end.code };
}

/** Waits for `work` no longer than until `signal` aborts. Throws what `work` fails with. */
async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  try {
    await abortable(work, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** crun ends with the process and loses what it has not read of the terminal by then, so it is not to stand between. runc has to, and waits. */
function streamsOf({ name }: OciRuntime, { directory, dialog }: RunContainer): ProcessStreams {
  if (!dialog?.terminal) return pipeStreams(dialog?.input !== undefined);
  return name === 'crun'
    ? ownTerminalStreams(dialog.terminal, directory)
    : passedTerminalStreams(dialog.terminal);
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

async function lastLogged(log: string, name: string): Promise<string> {
  const lines = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n');
  try {
    const { msg } = JSON.parse(lines.at(-1)!) as { msg?: unknown };
    if (typeof msg === 'string') return msg;
  } catch {
    // Not in the format asked for: show it as it is.
  }
  return lines.at(-1) || `${name} ended without saying why`;
}
