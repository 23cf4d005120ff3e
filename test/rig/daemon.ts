import assert from 'node:assert/strict';
import { Kiln } from './kiln.ts';
import { leftoversOf } from './leftovers.ts';
import { project } from './project.ts';
import { type Finished, type Running, type RunOptions, startProgram } from './run-program.ts';
import { WorkDirectory } from './work-directory.ts';

export interface DaemonOptions extends RunOptions {
  /** Its root, which stays when the daemon ends; a temporary one otherwise. */
  readonly root?: string;
  /** What is run instead of `bin/kilnd`, to run it in turn. */
  readonly program?: string;
  /** More arguments. */
  readonly args?: readonly string[];
}

/** A `bin/kilnd` that answers. */
export class Daemon implements AsyncDisposable {
  readonly root: string;
  readonly address: string;
  readonly kiln: Kiln;
  readonly process: Running;
  readonly #directory: WorkDirectory;

  private constructor(running: Running, root: string, address: string, directory: WorkDirectory) {
    this.process = running;
    this.root = root;
    this.address = address;
    this.kiln = new Kiln({ address });
    this.#directory = directory;
  }

  static async start(options: DaemonOptions = {}): Promise<Daemon> {
    const directory = new WorkDirectory();
    const root = options.root ?? directory.at('root');
    const address = `unix://${directory.at('kilnd.sock')}`;
    const args = ['--root', root, '--addr', address, ...(options.args ?? [])];
    const running = startProgram(options.program ?? project.kilnd, args, options);
    try {
      await running.said(`running server on ${address}`);
    } catch (error) {
      directory[Symbol.dispose]();
      throw error;
    }
    return new Daemon(running, root, address, directory);
  }

  /** Ends the daemon by SIGTERM. It has to exit with 0 and to leave nothing behind. */
  async stop(): Promise<Finished> {
    this.process.kill('SIGTERM');
    const end = await this.process.finished;
    assert.deepEqual({ code: end.code, signal: end.signal }, { code: 0, signal: null }, end.stderr);
    assert.deepEqual(leftoversOf(this.root), []);
    return end;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop();
    } finally {
      this.#directory[Symbol.dispose]();
    }
  }
}
