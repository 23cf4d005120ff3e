import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { baseLayout } from './base-layout.ts';
import { type BuildEvents, readBuildEvents } from './build-events.ts';
import { project } from './project.ts';
import {
  type Finished,
  mustRun,
  type Running,
  type RunOptions,
  runProgram,
  startProgram,
} from './run-program.ts';

/** Where the engine of a command is: in its own process, on a root, or in a daemon. */
export type Engine = { readonly root: string } | { readonly address: string };

export interface Built extends Finished {
  readonly events: BuildEvents;
}

/** `bin/kiln` with an engine. */
export class Kiln {
  readonly #program: string;
  readonly #engine: readonly string[];

  /** `program` is run instead of `bin/kiln`, to run it in turn. */
  constructor(engine: Engine, program: string = project.kiln) {
    this.#program = program;
    this.#engine = 'root' in engine ? ['--root', engine.root] : ['--addr', engine.address];
  }

  /** Runs a command, whatever comes of it. */
  async run(args: readonly string[], options?: RunOptions): Promise<Finished> {
    return await runProgram(this.#program, [...this.#engine, ...args], options);
  }

  /** Runs a command that has to succeed. */
  async must(args: readonly string[], options?: RunOptions): Promise<Finished> {
    return await mustRun(this.#program, [...this.#engine, ...args], options);
  }

  /** Starts `kiln build` on a context with the busybox image as `base`. */
  start(context: string, args: readonly string[] = [], options?: RunOptions): Running {
    return startProgram(this.#program, [...this.#engine, ...buildArguments(context, args)], options);
  }

  /** Builds a context, with the busybox image as `base`; has to succeed. */
  async build(context: string, args: readonly string[] = [], options?: RunOptions): Promise<Built> {
    const trace = path.join(tmpdir(), `kiln-trace-${randomUUID()}`);
    try {
      const result = await this.must(buildArguments(context, ['--trace', trace, ...args]), options);
      return { ...result, events: readBuildEvents(readFileSync(trace, 'utf8')) };
    } finally {
      if (existsSync(trace)) rmSync(trace);
    }
  }

  /** Builds a context that must not build; returns what was said. */
  async failingBuild(context: string, args: readonly string[] = [], options?: RunOptions): Promise<Finished> {
    const result = await this.run(buildArguments(context, args), options);
    if (result.code === 0) throw new Error(`the build of ${context} succeeded:\n${result.stderr}`);
    return result;
  }

  /** Builds a context and returns the text of a file of its result. */
  async textOf(
    file: string,
    context: string,
    args: readonly string[] = [],
    options?: RunOptions,
  ): Promise<string> {
    const { bytes } = await this.build(context, [...args, '-o', 'type=tar,dest=-'], options);
    return (await mustRun('tar', ['-xOf', '-', file], { input: bytes })).stdout;
  }
}

function buildArguments(context: string, args: readonly string[]): readonly string[] {
  const { directory } = baseLayout();
  return [
    'build',
    ...(args.some((arg) => arg.startsWith('base='))
      ? []
      : ['--build-context', `base=oci-layout://${directory}:latest`]),
    ...(args.some((arg) => arg.startsWith('--progress')) ? [] : ['--progress', 'plain']),
    ...args,
    context,
  ];
}
