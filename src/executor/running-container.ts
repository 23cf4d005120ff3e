import { mkdir, rm, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { abortable, abortError, deferred } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import type { ContainerBundle } from './bundle/container-bundle.ts';
import type { ContainerCgroup } from './container-cgroup.ts';
import type { OtherProcess, ProcessIo } from './executor.ts';
import { ForcedEnd } from './forced-end.ts';
import { judgeExit } from './judge-exit.ts';
import { execInContainer, isRunning, type OciRuntime } from './oci-runtime.ts';
import { readPid } from './runtime-control.ts';

/** Milliseconds between looks at a container that is being started. */
const startInterval = 10;

/** What a container is made of. */
export interface ContainerParts {
  readonly runtime: OciRuntime;
  readonly bundle: ContainerBundle;
  readonly cgroup: ContainerCgroup;
}

/** A container of which the first process is being started or runs: takes more processes until that one has ended. */
export class RunningContainer {
  readonly #id: string;
  readonly #stateDir: string;
  readonly #canceled: AbortSignal;
  readonly #parts = deferred<ContainerParts>();
  readonly #ended = new AbortController();
  readonly #others = new Set<Promise<void>>();
  #started: Promise<void> | undefined;
  #count = 0;

  /** `stateDir` is the runtime's own state of its containers; `canceled` aborts when nobody wants the container any more. */
  constructor(id: string, stateDir: string, canceled: AbortSignal) {
    this.#id = id;
    this.#stateDir = stateDir;
    this.#canceled = canceled;
  }

  /** To be called when the first process is about to be started. */
  made(parts: ContainerParts): void {
    this.#parts.resolve(parts);
  }

  /** See `Executor.exec`. */
  async exec(spec: OtherProcess, io: ProcessIo): Promise<void> {
    const work = this.#exec(spec, io);
    this.#others.add(work);
    try {
      await work;
    } finally {
      this.#others.delete(work);
    }
  }

  /** To be called when the first process has ended, or could not be started. Resolves when nothing of the others is left. */
  async end(): Promise<void> {
    this.#ended.abort(hasEnded());
    await Promise.allSettled(this.#others);
  }

  async #exec(spec: OtherProcess, io: ProcessIo): Promise<void> {
    if (spec.args.length === 0) throw new KilnError('invalid_argument', 'the process has no command');
    const signal = AbortSignal.any([io.signal, this.#ended.signal]);
    const { runtime, bundle, cgroup } = await abortable(this.#parts.promise, signal);
    this.#started ??= this.#start();
    await abortable(this.#started, signal);
    const directory = path.join(bundle.dir, `process${++this.#count}`);
    await mkdir(directory, { mode: 0o700 });
    try {
      const processFile = path.join(directory, 'process.json');
      if (spec.user !== '') await bundle.bringUsers(signal);
      const config = bundle.otherProcess(spec, io.dialog?.terminal);
      await writeFile(processFile, JSON.stringify(config), { mode: 0o600 });
      using ending = new ForcedEnd(() => void killProcess(cgroup, directory), signal);
      const exit = await execInContainer(runtime, {
        id: this.#id,
        directory,
        processFile,
        stateDir: this.#stateDir,
        onOutput: (stream, data) => io.onOutput(stream, data),
        dialog: io.dialog,
        // What it wrote before the container ended is wanted.
        signal: AbortSignal.any([io.signal, this.#canceled]),
        onStarted: (pid) => ending.start(pid),
      });
      if (io.signal.aborted) throw abortError(io.signal);
      if (exit.kind === 'not-started' && this.#ended.signal.aborted) throw hasEnded();
      const killed = exit.kind === 'exited' && exit.code === 128 + constants.signals.SIGKILL;
      const oom = killed && !this.#ended.signal.aborted && cgroup.oomKilled();
      judgeExit({ ...spec, validExitCodes: [] }, bundle, { ...exit, oom });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** Waits until the runtime lets processes in. Throws when the container ends before. */
  async #start(): Promise<void> {
    const { bundle, runtime } = await this.#parts.promise;
    const { signal } = this.#ended;
    for (;;) {
      if (signal.aborted) throw abortError(signal);
      const pid = await readPid(path.join(bundle.dir, 'pid'));
      if (pid !== undefined && (await isRunning(runtime, { id: this.#id, stateDir: this.#stateDir }))) return;
      await pause(startInterval, undefined, { signal }).catch(() => {});
    }
  }
}

/** Nothing else: a number that is in use again belongs to no process of this container, or to one that ends with it. */
async function killProcess(cgroup: ContainerCgroup, directory: string): Promise<void> {
  const pid = await readPid(path.join(directory, 'pid'));
  if (pid !== undefined) cgroup.killProcess(pid);
}

export function hasEnded(): KilnError {
  return new KilnError('failed_precondition', 'the container has ended, and takes no more processes', {
    hint: 'a container ends with its first process: start another one',
  });
}
