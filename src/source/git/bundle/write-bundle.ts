import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { withStatus } from '../../../base/progress.ts';
import {
  fetchObject,
  type MirrorContext,
  objectFormat,
  objectRef,
  type RemoteObject,
} from '../git-mirrors.ts';

/** What the only file of a checkout as a bundle is called. */
const bundleName = 'bundle';
/** The ref that a bundle has, where `name` is the full name of a ref, or of a commit. */
export function refInBundle(name: string): string {
  return name.startsWith('refs/') ? name : 'refs/heads/main';
}

/**
 * Writes a bundle of a commit with its whole history into a directory. `name` is the full name of the ref in it; what is no ref gets the name of a branch. Submodules are not
 * in it. `temporary`: where a directory for the repository is made that the bundle is of.
 */
export async function writeBundle(
  origin: RemoteObject,
  name: string,
  directory: string,
  temporary: string,
  { git, progress }: MirrorContext,
): Promise<void> {
  const own = await mkdtemp(path.join(temporary, 'repository-'));
  try {
    const here = git.with({ environment: { GIT_DIR: own } });
    await here.run([
      ...['init', '--quiet', '--bare', '--template=', '--initial-branch=main'],
      ...[`--object-format=${objectFormat(origin.object)}`, own],
    ]);
    await withStatus(progress, `fetch ${origin.shown} with its history`, () =>
      fetchObject(origin, { directory: own, git: here }, { history: true }),
    );
    const ref = refInBundle(name);
    // A branch is of a commit, where a tag may be of an annotation.
    const target = ref.startsWith('refs/heads/') ? `${origin.object}^{commit}` : origin.object;
    await here.run(['update-ref', ref, target]);
    if (ref !== objectRef(origin.object)) await here.run(['update-ref', '-d', objectRef(origin.object)]);
    const file = path.join(directory, bundleName);
    await withStatus(progress, `bundle ${origin.shown}`, () =>
      // The same bytes each time: with several threads they depend on which is faster.
      here.with({ config: [['pack.threads', '1']] }).run(['bundle', 'create', '--quiet', file, ref]),
    );
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}
