import type { MirrorContext, ObjectStore, RemoteObject } from './git-mirrors.ts';

/** A commit, or an annotated tag and its commit, as git keeps them: what signatures are made over. */
export interface DescribedObject {
  readonly commit: string;
  readonly commitObject: Uint8Array;
  readonly tagObject: Uint8Array | undefined;
}

/** In bytes: an object is looked at on the event loop, and sent to clients in one message. */
const mostObject = 4 * 1024 * 1024;

/** Throws `resource_exhausted` for an object that is too large to be told. */
export async function describeObject(
  objects: ObjectStore,
  origin: RemoteObject,
  context: MirrorContext,
): Promise<DescribedObject> {
  return await objects.use(origin, context, async ({ git }) => {
    const type = await git.run(['cat-file', '-t', origin.object]);
    const commit = (await git.run(['rev-parse', '--verify', `${origin.object}^{commit}`])).trim();
    const bounded = git.with({ mostOutput: mostObject });
    return {
      commit,
      commitObject: await bounded.read(['cat-file', 'commit', commit]),
      tagObject: type.trim() === 'tag' ? await bounded.read(['cat-file', 'tag', origin.object]) : undefined,
    };
  });
}
