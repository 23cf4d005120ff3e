import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { OutputPipe } from './output-pipe.ts';
import { openPipe } from './pipe.ts';
import { type ProcessEnd, spawnProcess } from './spawn-process.ts';

export interface ProgramCall {
  readonly program: string;
  readonly args: readonly string[];
  /** Standard input; none by default. */
  readonly input?: string;
  /** This process's own by default. */
  readonly environment?: Readonly<NodeJS.ProcessEnv>;
  /** How many bytes it may write, to standard output and to standard error each. */
  readonly mostOutput: number;
  /** How long it may take. */
  readonly milliseconds: number;
}

export interface ProgramAnswer {
  readonly end: ProcessEnd;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program and reads what it says. Throws `deadline_exceeded` or `resource_exhausted` when it takes or writes too much, once it is
 * killed with all of its process group, and a SystemError when it cannot be executed.
 */
export async function callProgram(call: ProgramCall): Promise<ProgramAnswer> {
  const { program, args, environment, mostOutput, milliseconds } = call;
  using stdout = new OutputPipe();
  using stderr = new OutputPipe();
  using input = new InputPipe(call.input ?? '');
  const child = spawnProcess({
    program,
    args,
    cwd: '/',
    environment,
    stdin: input.readEnd,
    stdout: stdout.writeEnd,
    stderr: stderr.writeEnd,
  });
  let failure: KilnError | undefined;
  const stop = (why: KilnError) => {
    failure ??= why;
    killGroup(child.pid);
  };
  const name = path.basename(program);
  const collect = (chunks: Uint8Array[]) => {
    let size = 0;
    return (chunk: Uint8Array) => {
      size += chunk.length;
      if (size <= mostOutput) chunks.push(chunk);
      else stop(new KilnError('resource_exhausted', `${name} wrote more than ${mostOutput} bytes`));
    };
  };
  const [out, err]: [Uint8Array[], Uint8Array[]] = [[], []];
  const timer = setTimeout(
    () => stop(new KilnError('deadline_exceeded', `${name} took more than ${milliseconds / 1000} seconds`)),
    milliseconds,
  );
  try {
    input.start();
    const [end] = await Promise.all([child.ended, stdout.start(collect(out)), stderr.start(collect(err))]);
    if (failure) throw failure;
    return { end, stdout: asText(out), stderr: asText(err) };
  } finally {
    clearTimeout(timer);
  }
}

/** A pipe with a text for a child process. */
class InputPipe implements Disposable {
  readonly readEnd: number;
  readonly #writer: Socket;
  readonly #text: string;
  #isReadEndOpen = true;

  constructor(text: string) {
    const { readEnd, writeEnd } = openPipe();
    this.readEnd = readEnd;
    this.#text = text;
    this.#writer = new Socket({ fd: writeEnd, readable: false, writable: true });
    // The program need not read it all.
    this.#writer.on('error', () => {});
  }

  /** To be called once the child has started. */
  start(): void {
    this.#closeReadEnd();
    this.#writer.end(this.#text);
  }

  [Symbol.dispose](): void {
    this.#closeReadEnd();
    this.#writer.destroy();
  }

  #closeReadEnd(): void {
    if (this.#isReadEndOpen) closeSync(this.readEnd);
    this.#isReadEndOpen = false;
  }
}

function asText(chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString('utf8');
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}
