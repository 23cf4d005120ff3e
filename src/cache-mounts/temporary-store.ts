import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import type { ContentStore } from '../content/content.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';

/** A store of its own for what comes from a place, which may name anything: nothing else is kept there. Disposing removes it. */
export interface TemporaryStore extends AsyncDisposable {
  readonly content: ContentStore;
  /** Where it is, with room for more files. */
  readonly directory: string;
}

export async function openTemporaryStore(parent: string): Promise<TemporaryStore> {
  const directory = await mkdtemp(path.join(parent, 'cache-mounts-'));
  return {
    directory,
    content: await openLocalContentStore(path.join(directory, 'content')),
    async [Symbol.asyncDispose]() {
      await rm(directory, { recursive: true, force: true });
    },
  };
}
