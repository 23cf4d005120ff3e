import { closeSync } from 'node:fs';
import { type Deferred, deferred } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { unmount } from '../linux/mount.ts';
import type { FilePart } from '../snapshot/snapshot.ts';
import { openFuse } from './fuse/fuse-device.ts';
import type { FromServer, ToServer } from './fuse/serving-messages.ts';
import {
  type LayerBytes,
  LayerChunks,
  type LazyLayer,
  openChunkWorks,
  type ReadFailure,
} from './layer-chunks.ts';
import { LazyConnection } from './lazy-connection.ts';
import type { PrepareLayerInput } from './prepare-layer.task.ts';
import { ServingProcess } from './serving-process.ts';

/** How often the process that serves the mounts is started again in the life of this one. */
const mostRestarts = 5;

import { prepareLayer } from './prepare-layer.ts';

export interface LazyMount extends AsyncDisposable {
  /** Whether all of the layer has come. */
  readonly isComplete: boolean;
  /** Fetches what has not come. Throws what keeps it from that, `canceled` when `signal` aborts. */
  complete(signal: AbortSignal): Promise<void>;
  /** Why the last read that failed did so. */
  readonly failure: ReadFailure | undefined;
  /** See `LazyConnection`. */
  giveUp(): void;
  resume(): void;
}

/** Why this machine cannot mount such layers; undefined if it can. */
export function obstacleToMounting(): Error | undefined {
  try {
    closeSync(openFuse());
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

/**
 * Shows the files of layers that are fetched while they are read. A process of its own answers the kernel for all of them; what is missing is fetched by the
 * main thread of this one, with Node's own threads (for names of hosts, certificates, modules), and unpacked in threads that do nothing else. So none of
 * these may wait for a file of such a layer: `EDEADLK` says so to those of them that try.
 */
export class LazyMounts implements AsyncDisposable {
  readonly #chunks = new ThreadPool({ size: 2 });
  /** Making the skeleton of a layer reads those below it. */
  readonly #skeletons = new ThreadPool({ size: 2 });
  readonly #readers = new ThreadPool({ size: 8, kept: 1 });
  readonly #works = openChunkWorks(this.#chunks);
  readonly #live = new Map<number, LazyConnection>();
  readonly #starting = new Map<number, Deferred<void>>();
  readonly #closing = new WeakMap<LazyConnection, Promise<void>>();
  #process: ServingProcess | undefined;
  #next = 0;
  #restarts = 0;
  #isClosed = false;

  /** See `prepareLayer`. */
  prepare(
    layer: LazyLayer,
    source: Pick<LayerBytes, 'read'>,
    target: Pick<PrepareLayerInput, 'directory' | 'form' | 'below'>,
    signal: AbortSignal,
  ): Promise<void> {
    return prepareLayer(layer, source, target, this.#skeletons, signal);
  }

  /** Mounts a prepared layer at `target`, a directory. Throws `unavailable` where the machine cannot. */
  async mount(
    layer: LazyLayer,
    source: LayerBytes,
    { directory, target }: { readonly directory: string; readonly target: string },
  ): Promise<LazyMount> {
    const chunks = new LayerChunks(directory, source, this.#works);
    const mount = this.#next++;
    const tell = (message: ToServer) => this.#process?.tell(message);
    const connection = new LazyConnection({ mount, directory, target, layer, chunks, tell });
    try {
      await this.#serve(connection);
    } catch (error) {
      await chunks[Symbol.asyncDispose]();
      throw error;
    }
    return {
      get isComplete() {
        return chunks.isComplete;
      },
      complete: (signal) => connection.complete(signal),
      get failure() {
        return connection.failure;
      },
      giveUp: () => connection.giveUp(),
      resume: () => connection.resume(),
      [Symbol.asyncDispose]: () => this.#close(connection),
    };
  }

  async #serve(connection: LazyConnection): Promise<void> {
    const { mount, directory, target } = connection;
    const serving = deferred<void>();
    this.#starting.set(mount, serving);
    this.#live.set(mount, connection);
    try {
      this.#process ??= this.#start();
      this.#process.tell({ kind: 'serve', mount, directory, target });
      await serving.promise;
    } catch (error) {
      this.#live.delete(mount);
      throw error;
    } finally {
      this.#starting.delete(mount);
    }
  }

  /** Reads parts of files on behalf of whoever may not wait for them. */
  async bring(parts: readonly FilePart[], signal: AbortSignal | undefined): Promise<void> {
    await this.#readers.run<readonly FilePart[], void>(
      new URL('./bring-files.task.ts', import.meta.url),
      parts,
      { signal },
    );
  }

  #start(): ServingProcess {
    return new ServingProcess(
      (message) => this.#heard(message),
      () => this.#exited(),
    );
  }

  #heard(message: FromServer): void {
    const { mount } = message;
    switch (message.kind) {
      case 'serving':
        this.#starting.get(mount)?.resolve();
        return;
      case 'refused':
        this.#starting
          .get(mount)
          ?.reject(new KilnError('unavailable', `it cannot be mounted: ${message.message}`));
        return;
      case 'wanted':
        this.#live.get(mount)?.want(message.bytes);
        return;
      case 'interrupted':
        this.#live.get(mount)?.interrupted(message.unique);
        return;
      case 'ended':
        this.#live.get(mount)?.lost();
        return;
      default:
        message satisfies never;
    }
  }

  /** Whoever reads the mounts has got errors, and would get them for ever: they are made again. */
  #exited(): void {
    this.#process = undefined;
    const error = new KilnError('unavailable', 'the process that serves mounted layers has ended');
    for (const starting of this.#starting.values()) starting.reject(error);
    const mayRestart = !this.#isClosed && this.#restarts++ < mostRestarts;
    for (const connection of this.#live.values()) {
      connection.lost();
      if (!mayRestart || this.#starting.has(connection.mount)) continue;
      unmount(connection.target);
      // The next start of kilnd tries once more.
      void this.#serve(connection).catch(() => {});
    }
  }

  #close(connection: LazyConnection): Promise<void> {
    const closing =
      this.#closing.get(connection) ?? connection.close().finally(() => this.#live.delete(connection.mount));
    this.#closing.set(connection, closing);
    return closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#live.values()].map((connection) => this.#close(connection)));
    await this.#process?.[Symbol.asyncDispose]();
    for (const pool of [this.#readers, this.#skeletons, this.#chunks]) await pool[Symbol.asyncDispose]();
  }
}
