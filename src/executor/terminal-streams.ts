import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { deferred } from '../base/async/lifetime.ts';
import { DescriptorSocket } from '../linux/process/descriptor-socket.ts';
import { OutputPipe } from '../linux/process/output-pipe.ts';
import { PseudoTerminal, type TerminalSize } from '../linux/process/pseudo-terminal.ts';
import type { ProcessIo } from './executor.ts';
import { passChunks } from './pass-chunks.ts';
import type { ProcessStreams, RuntimeProcess } from './process-streams.ts';

/** Milliseconds between looks whether a container that is being started has its terminal. */
const startInterval = 5;

/**
 * The container's own terminal for all three. The runtime hands it over in `directory`, which is nobody else's, and has no part in what
 * passes through it.
 */
export function ownTerminalStreams(size: TerminalSize, directory: string): ProcessStreams {
  const file = path.join(directory, 'terminal.sock');
  const socket = new DescriptorSocket(file);
  const said = new OutputPipe();
  const arrived = deferred<PseudoTerminal | undefined>();
  let wanted = size;
  let terminal: PseudoTerminal | undefined;
  let isDisposed = false;
  const show = async (onOutput: ProcessIo['onOutput'], runtime: RuntimeProcess) => {
    const master = await handedOver(socket, runtime);
    if (master === undefined) return arrived.resolve(undefined);
    using opened = new PseudoTerminal(master);
    if (isDisposed) return;
    opened.resize(wanted);
    terminal = opened;
    arrived.resolve(opened);
    await showAll(opened, onOutput, runtime);
  };
  return {
    ofRuntime: { stdout: said.writeEnd, stderr: said.writeEnd },
    options: ['--console-socket', file],
    async start(onOutput, runtime) {
      await Promise.all([said.start((data) => onOutput(1, data)), show(onOutput, runtime)]);
    },
    feed(chunks) {
      void arrived.promise.then((opened) => opened && typeAll(opened, chunks));
    },
    resize(changed) {
      wanted = changed;
      terminal?.resize(changed);
    },
    [Symbol.dispose]() {
      isDisposed = true;
      arrived.resolve(undefined);
      terminal?.[Symbol.dispose]();
      said[Symbol.dispose]();
      socket[Symbol.dispose]();
    },
  };
}

/** A terminal for all three, from which the runtime passes everything on to the container's own and back. */
export function passedTerminalStreams(size: TerminalSize): ProcessStreams {
  const terminal = PseudoTerminal.openRaw(size);
  const { peer } = terminal;
  let pid: number | undefined;
  return {
    ofRuntime: { stdin: peer, stdout: peer, stderr: peer },
    options: [],
    async start(onOutput, runtime) {
      pid = runtime.pid;
      await showAll(terminal, onOutput, runtime);
    },
    feed(chunks) {
      void typeAll(terminal, chunks);
    },
    resize(changed) {
      terminal.resize(changed);
      // The kernel tells nobody: the runtime is not in the foreground of this terminal.
      if (pid !== undefined) process.kill(pid, 'SIGWINCH');
    },
    [Symbol.dispose]() {
      terminal[Symbol.dispose]();
    },
  };
}

/** What the runtime sends to `socket`; undefined when it ends without that. */
async function handedOver(socket: DescriptorSocket, runtime: RuntimeProcess): Promise<number | undefined> {
  let hasEnded = false;
  const end = runtime.ended.then(() => {
    hasEnded = true;
  });
  for (;;) {
    const isLast = hasEnded;
    const descriptor = socket.take();
    if (descriptor !== undefined || isLast) return descriptor;
    await Promise.race([pause(startInterval), end]);
  }
}

async function showAll(
  terminal: PseudoTerminal,
  onOutput: ProcessIo['onOutput'],
  { ended }: RuntimeProcess,
): Promise<void> {
  void ended.then(() => terminal.release());
  await terminal.start((data) => onOutput(1, data));
}

async function typeAll(terminal: PseudoTerminal, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await passChunks(chunks, (chunk) => terminal.write(chunk));
}
