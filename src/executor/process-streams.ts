import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { OutputPipe } from '../linux/process/output-pipe.ts';
import { openPipe } from '../linux/process/pipe.ts';
import { PseudoTerminal, type TerminalSize } from '../linux/process/pseudo-terminal.ts';
import type { ProcessIo } from './executor.ts';

/** The standard streams of a process that is about to be started. */
export interface ProcessStreams extends Disposable {
  readonly ofChild: { readonly stdin?: number; readonly stdout: number; readonly stderr: number };
  /** To be called once the process has started. Resolves when all who could write have ended. */
  start(onOutput: ProcessIo['onOutput']): Promise<void>;
  /** Gives the process input until it ends, or nobody reads it. */
  feed(input: AsyncIterable<Uint8Array>): void;
  resize?(size: TerminalSize): void;
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
    ofChild: { stdin: input?.readEnd, stdout: stdout.writeEnd, stderr: stderr.writeEnd },
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
      void pump(chunks, async (chunk) => {
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

/** One terminal for all three. */
export function terminalStreams(size: TerminalSize): ProcessStreams {
  const terminal = new PseudoTerminal(size);
  const fd = terminal.childEnd;
  let ended = false;
  return {
    ofChild: { stdin: fd, stdout: fd, stderr: fd },
    async start(onOutput) {
      await terminal.start((data) => onOutput(1, data));
    },
    feed(chunks) {
      void pump(chunks, async (chunk) => {
        await terminal.write(chunk);
        return !ended;
      });
    },
    resize: (changed) => {
      if (!ended) terminal.resize(changed);
    },
    [Symbol.dispose]() {
      ended = true;
      terminal[Symbol.dispose]();
    },
  };
}

/** Passes chunks on until `take` says that there is no use. What the source fails with ends it: its owner knows. */
async function pump(
  chunks: AsyncIterable<Uint8Array>,
  take: (chunk: Uint8Array) => Promise<boolean>,
): Promise<void> {
  try {
    for await (const chunk of chunks) if (!(await take(chunk))) return;
  } catch {
    // The same as an end: whoever types has gone.
  }
}
