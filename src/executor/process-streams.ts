import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { OutputPipe } from '../linux/process/output-pipe.ts';
import { openPipe } from '../linux/process/pipe.ts';
import type { TerminalSize } from '../linux/process/pseudo-terminal.ts';
import type { ProcessIo } from './executor.ts';
import { passChunks } from './pass-chunks.ts';

/** The standard streams of a container's process, which a runtime is about to start. */
export interface ProcessStreams extends Disposable {
  /** Those of the runtime. */
  readonly ofRuntime: { readonly stdin?: number; readonly stdout: number; readonly stderr: number };
  /** What the runtime's `run` has to be told. */
  readonly options: readonly string[];
  /** To be called once the runtime has started. Resolves when all who could write have ended, and everything was taken. */
  start(onOutput: ProcessIo['onOutput'], runtime: RuntimeProcess): Promise<void>;
  /** Gives the process input until it ends, or nobody reads it. */
  feed(input: AsyncIterable<Uint8Array>): void;
  resize?(size: TerminalSize): void;
}

/** A runtime that runs a container in the foreground. */
export interface RuntimeProcess {
  readonly pid: number;
  /** Does not reject. */
  readonly ended: Promise<void>;
}

/** Pipes; standard input is empty unless it is wanted. */
export function pipeStreams(withInput: boolean): ProcessStreams {
  const stdout = new OutputPipe();
  const stderr = new OutputPipe();
  const input = withInput ? openPipe() : undefined;
  let isReadEndOpen = input !== undefined;
  let writer: Socket | undefined;
  const closeReadEnd = () => {
    if (isReadEndOpen) closeSync(input!.readEnd);
    isReadEndOpen = false;
  };
  return {
    ofRuntime: { stdin: input?.readEnd, stdout: stdout.writeEnd, stderr: stderr.writeEnd },
    options: [],
    async start(onOutput) {
      closeReadEnd();
      await Promise.all([
        stdout.start((data) => onOutput(1, data)),
        stderr.start((data) => onOutput(2, data)),
      ]);
    },
    feed(chunks) {
      if (!input) return;
      const socket = new Socket({ fd: input.writeEnd, readable: false, writable: true });
      writer = socket;
      // The process need not read it all.
      socket.on('error', () => {});
      void passChunks(chunks, async (chunk) => {
        await new Promise<void>((resolve) => socket.write(chunk, () => resolve()));
        return !socket.destroyed;
      }).finally(() => socket.end());
    },
    [Symbol.dispose]() {
      closeReadEnd();
      if (writer) writer.destroy();
      else if (input) closeSync(input.writeEnd);
      stdout[Symbol.dispose]();
      stderr[Symbol.dispose]();
    },
  };
}
