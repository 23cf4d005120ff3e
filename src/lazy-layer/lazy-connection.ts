import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { deferred } from '../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { unmount } from '../linux/mount.ts';
import type { ToServer } from './fuse/serving-messages.ts';
import type { WantedBytes } from './fuse/tree-server.ts';
import type { LayerChunks, LazyLayer, ReadFailure } from './layer-chunks.ts';

interface Wanted {
  readonly bytes: WantedBytes;
  readonly controller: AbortController;
  /** Looks whether the process that wants the bytes has been killed. */
  watch?: NodeJS.Timeout;
}

/** Milliseconds between two looks at a process that was interrupted while it waits. */
const lookInterval = 200;

const credentialsHint =
  'its files are read while steps run, with the credentials of builds that name an image with it and still run';

/** A mounted layer: what the kernel waits for, and who reads. */
export class LazyConnection {
  readonly mount: number;
  readonly directory: string;
  readonly target: string;
  readonly chunks: LayerChunks;
  readonly #layer: LazyLayer;
  readonly #ended = new AbortController();
  readonly #gone = deferred<void>();
  readonly #tell: (message: ToServer) => void;
  readonly #wanted = new Map<string, Wanted>();
  readonly #answering = new Set<Promise<void>>();
  /** Threads of this process that were told to give up. The kernel asks once more for them. */
  readonly #givenUp = new Set<number>();
  #failure: ReadFailure | undefined;

  constructor(parts: {
    /** Its number for the process that serves it. */
    readonly mount: number;
    readonly directory: string;
    readonly target: string;
    readonly layer: LazyLayer;
    readonly chunks: LayerChunks;
    readonly tell: (message: ToServer) => void;
  }) {
    this.mount = parts.mount;
    this.directory = parts.directory;
    this.#tell = parts.tell;
    this.target = parts.target;
    this.chunks = parts.chunks;
    this.#layer = parts.layer;
  }

  /** Brings what the kernel wants, and answers it. */
  want(bytes: WantedBytes): void {
    const wanted: Wanted = { bytes, controller: new AbortController() };
    this.#wanted.set(bytes.unique, wanted);
    if (bytes.isOwn && this.#givenUp.has(bytes.thread)) wanted.controller.abort();
    const answering = this.#answer(wanted);
    this.#answering.add(answering);
    void answering.finally(() => {
      clearInterval(wanted.watch);
      this.#wanted.delete(bytes.unique);
      this.#answering.delete(answering);
    });
  }

  /** The process that wants the bytes got a signal. It goes on waiting, except when it was killed, and the kernel waits for the answer in any case. */
  interrupted(unique: string): void {
    const wanted = this.#wanted.get(unique);
    if (!wanted || wanted.watch) return;
    const look = () => {
      if (wasKilled(wanted.bytes.thread)) wanted.controller.abort();
    };
    wanted.watch = setInterval(look, lookInterval);
    look();
  }

  /** Why the last read that failed did so. */
  get failure(): ReadFailure | undefined {
    return this.#failure;
  }

  /** Lets threads of this process that wait for files get errors: nobody wants any more what they do. (Processes of steps can be killed instead.) */
  giveUp(): void {
    for (const { bytes, controller } of this.#wanted.values()) {
      if (!bytes.isOwn) continue;
      this.#givenUp.add(bytes.thread);
      controller.abort();
    }
  }

  /** To be called when somebody begins to read the layer. */
  resume(): void {
    this.#givenUp.clear();
  }

  /** Fetches all that has not come. */
  async complete(signal: AbortSignal): Promise<void> {
    try {
      await this.chunks.complete(AbortSignal.any([signal, this.#ended.signal]));
    } catch (error) {
      throw this.#told(error);
    }
  }

  async #answer({ bytes, controller }: Wanted): Promise<void> {
    const { mount } = this;
    const { unique, chunks } = bytes;
    const signal = AbortSignal.any([controller.signal, this.#ended.signal]);
    try {
      await this.chunks.bring(chunks, signal);
      this.#tell({ kind: 'answer', mount, unique });
    } catch (error) {
      if (!signal.aborted) this.#failure = { error: this.#told(error), at: performance.now() };
      const { EINTR, EIO } = constants.errno;
      this.#tell({ kind: 'answer', mount, unique, errno: controller.signal.aborted ? EINTR : EIO });
    }
  }

  #told(error: unknown): KilnError {
    const { code, message, cause, hint } = asKilnError(error);
    return new KilnError(code, `cannot read layer ${this.#layer.digest}: ${message}`, {
      cause,
      hint: code === 'unauthenticated' || code === 'permission_denied' ? credentialsHint : hint,
    });
  }

  /** To be called when the mount is not served any more. */
  lost(): void {
    for (const { controller } of this.#wanted.values()) controller.abort();
    this.#gone.resolve();
  }

  /** Unmounts it. Whoever still has files of it open gets errors. */
  async close(): Promise<void> {
    this.#ended.abort();
    unmount(this.target);
    this.#tell({ kind: 'end', mount: this.mount });
    await this.#gone.promise;
    await Promise.all(this.#answering);
    await this.chunks[Symbol.asyncDispose]();
  }
}

/** Whether a thread is being killed, or has gone. */
function wasKilled(thread: number): boolean {
  try {
    const status = readFileSync(`/proc/${thread}/status`, 'utf8');
    const pending = /^SigPnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
    return ((BigInt(`0x${pending}`) >> BigInt(constants.signals.SIGKILL - 1)) & 1n) === 1n;
  } catch {
    return true;
  }
}
