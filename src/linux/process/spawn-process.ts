import { closeSync, constants as files } from 'node:fs';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { bind, check, lastErrno, SystemError } from '../libc.ts';
import { openPipe } from './pipe.ts';

const posixSpawn = bind(
  'int posix_spawnp(_Out_ int *pid, const char *file, const void *actions, const void *attributes, const char **argv, const char **envp)',
);
const initActions = bind('int posix_spawn_file_actions_init(void *actions)');
const destroyActions = bind('int posix_spawn_file_actions_destroy(void *actions)');
const addOpen = bind(
  'int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, unsigned int mode)',
);
const addDup2 = bind('int posix_spawn_file_actions_adddup2(void *actions, int fd, int newfd)');
const addChdir = bind('int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)');
const initAttributes = bind('int posix_spawnattr_init(void *attributes)');
const destroyAttributes = bind('int posix_spawnattr_destroy(void *attributes)');
const setFlags = bind('int posix_spawnattr_setflags(void *attributes, short flags)');
const setDefaultSignals = bind('int posix_spawnattr_setsigdefault(void *attributes, const void *set)');
const setSignalMask = bind('int posix_spawnattr_setsigmask(void *attributes, const void *set)');
const waitpid = bind('int waitpid(int pid, _Out_ int *status, int options)');

/** More than the opaque structures of any libc take. */
const opaqueSize = 1024;
const signalSetSize = 128;
const flags = { setSignalDefaults: 0x04, setSignalMask: 0x08, setSession: 0x80 } as const;
const noHang = 1;
/** Milliseconds between looks at a process that has closed its files but is not gone yet. */
const reapInterval = 1;

export interface SpawnOptions {
  /** Looked up in PATH unless it has a slash. */
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** Empty by default. */
  readonly stdin?: number;
  readonly stdout: number;
  readonly stderr: number;
  /** This process's own by default. */
  readonly environment?: Readonly<NodeJS.ProcessEnv>;
}

/** How a process ended: with a code, or by a signal (its number). */
export type ProcessEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: number };

export interface SpawnedProcess {
  /** The leader of a session and process group of its own. */
  readonly pid: number;
  readonly ended: Promise<ProcessEnd>;
}

/**
 * Starts a process by posix_spawn(3), which shares this process's memory with the new one until it has executed its program. Node's
 * `spawn` forks, and for a large process copying the page tables alone takes milliseconds on the event loop. Signals
 * are at their defaults. Throws a SystemError when the program cannot be executed.
 */
export function spawnProcess(options: SpawnOptions): SpawnedProcess {
  // The process holds the write end as long as it lives; what it starts must not inherit it.
  const life = openPipe();
  try {
    const pid = start(options, life.writeEnd);
    closeSync(life.writeEnd);
    return { pid, ended: watch(pid, life.readEnd) };
  } catch (error) {
    closeSync(life.readEnd);
    closeSync(life.writeEnd);
    throw error;
  }
}

function start(options: SpawnOptions, life: number): number {
  const { program, args, cwd, stdin, stdout, stderr, environment = process.env } = options;
  const actions = Buffer.alloc(opaqueSize);
  const attributes = Buffer.alloc(opaqueSize);
  must(initActions(actions), 'posix_spawn_file_actions_init');
  must(initAttributes(attributes), 'posix_spawnattr_init');
  try {
    if (stdin === undefined) {
      must(addOpen(actions, 0, '/dev/null', files.O_RDONLY, 0), 'posix_spawn_file_actions_addopen');
    }
    for (const [fd, as] of [
      ...(stdin === undefined ? [] : [[stdin, 0] as const]),
      [stdout, 1],
      [stderr, 2],
      [life, 3],
    ] as const) {
      must(addDup2(actions, fd, as), 'posix_spawn_file_actions_adddup2');
    }
    must(addChdir(actions, cwd), 'posix_spawn_file_actions_addchdir_np');
    must(
      setFlags(attributes, flags.setSignalDefaults | flags.setSignalMask | flags.setSession),
      'posix_spawnattr_setflags',
    );
    must(setDefaultSignals(attributes, Buffer.alloc(signalSetSize, 0xff)), 'posix_spawnattr_setsigdefault');
    must(setSignalMask(attributes, Buffer.alloc(signalSetSize)), 'posix_spawnattr_setsigmask');
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const pid = [0];
    must(
      posixSpawn(pid, program, actions, attributes, [program, ...args, null], [...variables, null]),
      `execute ${program}`,
    );
    return pid[0]!;
  } finally {
    destroyActions(actions);
    destroyAttributes(attributes);
  }
}

/** These functions return the error number itself. */
function must(errno: number, what: string): void {
  if (errno !== 0) throw new SystemError(what, errno);
}

async function watch(pid: number, life: number): Promise<ProcessEnd> {
  const socket = new Socket({ fd: life, readable: true, writable: false });
  await new Promise<void>((resolve) => {
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.resume();
  });
  for (;;) {
    const status = [0];
    const reaped = waitpid(pid, status, noHang);
    if (reaped === -1 && lastErrno() !== constants.errno.EINTR) check(reaped, 'waitpid');
    if (reaped === pid) return endOf(status[0]!);
    await delay(reapInterval);
  }
}

/** The macros of wait(2). */
function endOf(status: number): ProcessEnd {
  const signal = status & 0x7f;
  return signal === 0 ? { kind: 'exited', code: (status >> 8) & 0xff } : { kind: 'killed', signal };
}
