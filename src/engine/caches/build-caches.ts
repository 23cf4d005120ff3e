import { randomUUID } from 'node:crypto';
import { asKilnError } from '../../base/errors.ts';
import { canonicalDigest } from '../../base/text/canonical.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheImport } from '../../remote-cache/import/cache-import.ts';
import { type CacheOptions, importKey, importName } from '../../remote-cache/import/cache-imports.ts';
import type { RemoteCaches } from '../../remote-cache/remote-caches.ts';
import type { Job } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { MountImports } from './mount-imports.ts';

export interface BuildCachesOptions {
  readonly caches: RemoteCaches;
  /** Gets the cache mounts of the imports. */
  readonly mounts: MountImports;
  readonly job: Job<ImmutableRef, JobContext>;
  readonly sessionId: string;
  /** Aborts when the build ends. */
  readonly signal: AbortSignal;
}

/** An import of a build, for explanations: with the reason why it is of no use at all, if it is of none. */
export interface BuildImport {
  readonly name: string;
  readonly source: CacheImport | undefined;
  readonly failure: string | undefined;
}

/** The caches that one build imports, whoever in it asks for them; each once. */
export class BuildCaches {
  readonly #options: BuildCachesOptions;
  readonly #imports = new Map<string, BuildImport>();

  constructor(options: BuildCachesOptions) {
    this.#options = options;
  }

  get imports(): readonly BuildImport[] {
    return [...this.#imports.values()];
  }

  /** Begins to load those that are not known yet. Nothing waits for them that can do without; one that fails is shown, and does not fail the build. */
  import(entries: readonly CacheOptions[]): void {
    for (const entry of entries) {
      const key = importKey(entry);
      if (!this.#imports.has(key)) this.#imports.set(key, this.#begin(entry));
    }
  }

  #begin(entry: CacheOptions): BuildImport {
    const { caches, job, mounts, sessionId, signal } = this.#options;
    const name = importName(entry);
    try {
      const source = caches.imports.open(entry, sessionId, signal);
      job.addCacheSource(source);
      mounts.add(entry);
      this.#show(source.name, async (each) => {
        try {
          await source.load(each);
        } catch (error) {
          throw asKilnError(error).wrap(`failed to configure ${entry.type} cache importer`);
        }
      });
      return { name: source.name, source, failure: undefined };
    } catch (error) {
      this.#show(name, () => Promise.reject(error));
      return { name, source: undefined, failure: asKilnError(error).message };
    }
  }

  #show(name: string, work: (signal: AbortSignal) => Promise<void>): void {
    const { job, signal } = this.#options;
    const vertex = {
      digest: canonicalDigest('import', randomUUID()),
      name: `importing cache manifest from ${name}`,
    };
    job
      .inProgress(vertex, (context) => work(AbortSignal.any([context.signal, signal])))
      .catch(() => {
        // The vertex shows the failure.
      });
  }
}
