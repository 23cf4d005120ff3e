import { spawn } from 'node:child_process';

export interface RunOptions {
  readonly cwd?: string;
  /** Added to this process's own; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Given on standard input, which is empty otherwise. */
  readonly input?: string | Uint8Array;
  /** There may be more input: the program does not see its end. */
  readonly inputStaysOpen?: boolean;
}

/** How a program ended, and all it said. */
export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Standard output. */
  readonly bytes: Buffer;
  /** Standard output as text. */
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that runs. */
export interface Running {
  readonly pid: number;
  /** What it has said on standard error so far. */
  readonly stderr: () => string;
  /** Resolves when standard error contains `text`; throws with all output when the program ends before. */
  said(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  hasEnded(): boolean;
  readonly finished: Promise<Finished>;
}

/** A daemon's address in the environment would lead tests to an engine that is not under test. */
const cleanEnvironment = { KILN_HOST: undefined, BUILDKIT_HOST: undefined, BUILDKIT_PROGRESS: undefined };

/** Starts a program and collects its output. */
export function startProgram(program: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...cleanEnvironment, ...options.env },
    stdio: 'pipe',
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const watchers = new Set<() => void>();
  const said = () => Buffer.concat(stderr).toString('utf8');
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    stderr.push(chunk);
    for (const watcher of watchers) watcher();
  });
  // A program that does not read its input is no failure of ours.
  child.stdin.on('error', () => {});
  if (options.inputStaysOpen) child.stdin.write(options.input ?? '');
  else child.stdin.end(options.input);
  const finished = new Promise<Finished>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const bytes = Buffer.concat(stdout);
      resolve({ code, signal, bytes, stdout: bytes.toString('utf8'), stderr: said() });
    });
  });
  finished.catch(() => {});
  return {
    pid: child.pid ?? 0,
    stderr: said,
    kill: (signal) => void child.kill(signal),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    finished,
    async said(text) {
      if (said().includes(text)) return;
      await new Promise<void>((resolve, reject) => {
        const look = () => {
          if (!said().includes(text)) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        finished.then(({ code }) => {
          watchers.delete(look);
          reject(new Error(`ended with code ${code} without saying ${JSON.stringify(text)}:\n${said()}`));
        }, reject);
      });
    },
  };
}

/** Runs a program to its end. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options?: RunOptions,
): Promise<Finished> {
  return await startProgram(program, args, options).finished;
}

/** Runs a program that has to succeed; throws with all it said otherwise. */
export async function mustRun(
  program: string,
  args: readonly string[],
  options?: RunOptions,
): Promise<Finished> {
  const result = await runProgram(program, args, options);
  if (result.code !== 0) {
    throw new Error(
      `${[program, ...args].join(' ')} ended with ${result.signal ?? `code ${result.code}`}:\n${result.stderr}${result.stdout.slice(-2000)}`,
    );
  }
  return result;
}
