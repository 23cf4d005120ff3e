import { randomUUID } from 'node:crypto';
import { type Deferred, deferred } from '../../base/async/lifetime.ts';
import type { ProgressWriter } from '../../base/progress.ts';
import { canonicalDigest } from '../../base/text/canonical.ts';
import type { BuildBridge } from '../../engine/bridge.ts';

interface Shown {
  readonly progress: Promise<ProgressWriter>;
  readonly ended: Deferred<void>;
  readonly work: Promise<void>;
}

/** What a frontend says on its standard error, as the log of a vertex: there is one once the frontend says something. */
export class FrontendLog {
  readonly #bridge: Pick<BuildBridge, 'inProgress'>;
  readonly #name: string;
  #shown: Shown | undefined;

  constructor(bridge: Pick<BuildBridge, 'inProgress'>, name: string) {
    this.#bridge = bridge;
    this.#name = name;
  }

  async write(data: Uint8Array): Promise<void> {
    this.#shown ??= this.#show();
    (await this.#shown.progress).log(2, data);
  }

  /** `failure`: what the vertex ends with. */
  async end(failure?: Error): Promise<void> {
    if (!this.#shown) return;
    const { ended, work } = this.#shown;
    if (failure) ended.reject(failure);
    else ended.resolve();
    await work.catch(() => {});
  }

  #show(): Shown {
    const progress = deferred<ProgressWriter>();
    const ended = deferred<void>();
    const vertex = { digest: canonicalDigest('frontend', randomUUID()), name: `[frontend] ${this.#name}` };
    const work = this.#bridge.inProgress(vertex, async (context) => {
      progress.resolve(context.progress);
      await ended.promise;
    });
    // It fails when the build has ended, and with the frontend's own failure, which others tell.
    work.catch((error) => progress.reject(error));
    // In a build that has ended there is no work that would wait for it.
    ended.promise.catch(() => {});
    return { progress: progress.promise, ended, work };
  }
}
