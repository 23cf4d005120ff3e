import { mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { withStatus } from '../../base/progress.ts';
import { withoutCredentials } from '../../base/secrecy/without-credentials.ts';
import { toByteString, toSystemPath } from '../../base/text/byte-string.ts';
import { emptyDirectory } from './empty-directory.ts';
import type { Git } from './git.ts';
import {
  type Mirror,
  type MirrorContext,
  type ObjectStore,
  objectFormat,
  objectRef,
  type RemoteObject,
} from './git-mirrors.ts';
import { listSubmodules, listTree, type Submodule } from './submodules.ts';

export interface GitCheckoutOptions extends MirrorContext {
  readonly objects: ObjectStore;
  readonly skipSubmodules: boolean;
}

/** Writes the files of commits. */
export class GitCheckout {
  readonly #options: GitCheckoutOptions;

  constructor(options: GitCheckoutOptions) {
    this.#options = options;
  }

  /**
   * Writes the files below `subdir` (relative, empty for all) and those of submodules into an empty directory. Nothing there tells
   * what they come from.
   */
  async writeFiles(origin: RemoteObject, subdir: string, directory: string): Promise<void> {
    if (subdir === '') {
      await this.#write(origin, '', directory);
      return;
    }
    // The attributes of a file are in the directories above it too: git has to see it where it belongs.
    const whole = await mkdtemp(path.join(directory, '.kiln-checkout-'));
    const part = toByteString(await this.#write(origin, subdir, whole));
    for (const name of await readdir(toSystemPath(part), { encoding: 'latin1' })) {
      await rename(toSystemPath(`${part}/${name}`), toSystemPath(`${toByteString(directory)}/${name}`));
    }
    await rm(whole, { recursive: true });
  }

  /**
   * Makes an empty directory a repository with the commit checked out, and the submodules in theirs. `name` is the full name of the
   * ref that was asked for, which the repository has too.
   */
  async writeRepository(origin: RemoteObject, name: string, directory: string): Promise<void> {
    const { objects, git, progress, skipSubmodules } = this.#options;
    const here = git.with({ cwd: directory });
    await objects.use(origin, this.#options, async (mirror) => {
      await emptyDirectory(directory);
      await here.run([
        ...['init', '--quiet', '--initial-branch=master'],
        `--object-format=${objectFormat(origin.object)}`,
      ]);
      await here.run(['remote', 'add', 'origin', origin.shown]);
      const ref = name.startsWith('refs/') ? `:${name}` : '';
      await here
        .with({ protocols: ['file'] })
        .run([
          ...[
            'fetch',
            '--quiet',
            '--no-write-fetch-head',
            '--no-tags',
            '--update-head-ok',
            '--depth=1',
            '--',
          ],
          ...[`file://${mirror.directory}`, `${objectRef(origin.object)}${ref}`],
        ]);
      await withStatus(progress, `checkout ${origin.shown}`, () =>
        here.run(['checkout', '--quiet', '--detach', origin.object]),
      );
      // The logs would tell who checked out, and when. They are empty after this.
      await here.run(['reflog', 'expire', '--all', '--expire=now']);
    });
    if (skipSubmodules || !(await hasSubmodules(here))) return;
    await withStatus(progress, `submodules of ${origin.shown}`, async () => {
      const update = ['submodule', '--quiet', 'update', '--init', '--recursive'];
      const unlogged = here.with({ config: [['core.logAllRefUpdates', 'false']] });
      const end = await unlogged.try([...update, '--depth=1']);
      // Some servers have no shallow histories, or not of every commit.
      if (end.code !== 0) await unlogged.run(update);
    });
  }

  /** When a commit was made, in seconds since 1970. */
  async commitTime(origin: RemoteObject): Promise<number> {
    const shown = await this.#options.objects.use(origin, this.#options, ({ git }) =>
      git.run(['show', '--no-patch', '--format=%ct', commitOf(origin)]),
    );
    return Number(shown.trim());
  }

  /** Returns where in `directory` the files below `subdir` are. Directories above `subdir` may be missing. */
  async #write(origin: RemoteObject, subdir: string, directory: string): Promise<string> {
    const { objects } = this.#options;
    // Not inside: a submodule may be another commit of the same repository.
    const next = await objects.use(origin, this.#options, (mirror) =>
      this.#checkOut(mirror, origin, subdir, directory),
    );
    if ('outer' in next) {
      const { outer } = next;
      return await this.#write(originOf(outer), subdir.slice(outer.path.length + 1), directory);
    }
    for (const submodule of next.inside) {
      await this.#write(originOf(submodule), '', path.join(directory, submodule.path));
    }
    return path.join(directory, subdir);
  }

  /** Returns the submodule that `subdir` is in, or else the submodules that are in `subdir`. */
  async #checkOut(
    mirror: Mirror,
    origin: RemoteObject,
    subdir: string,
    directory: string,
  ): Promise<{ readonly outer: Submodule } | { readonly inside: readonly Submodule[] }> {
    const { skipSubmodules, progress } = this.#options;
    const commit = commitOf(origin);
    const submodules = skipSubmodules ? [] : await listSubmodules(mirror.git, commit, origin.remote);
    const outer = submodules.find((submodule) => isWithin(subdir, submodule.path));
    if (outer) return { outer };
    if (subdir !== '') await checkSubdir(mirror.git, commit, subdir, origin.shown);
    await emptyDirectory(directory);
    const git = mirror.git.with({ cwd: directory, environment: { GIT_WORK_TREE: directory } });
    await withStatus(progress, `checkout ${origin.shown}`, async () => {
      if (subdir === '') await git.run(['read-tree', '--reset', '-u', commit]);
      else {
        await git.run(['read-tree', commit]);
        await git.run(['--literal-pathspecs', 'checkout', '--quiet', '--', subdir]);
      }
    });
    return { inside: submodules.filter(({ path: at }) => subdir === '' || isWithin(at, subdir)) };
  }
}

function commitOf({ object }: RemoteObject): string {
  return `${object}^{commit}`;
}

function originOf({ remote, commit }: Submodule): RemoteObject {
  return { remote, shown: withoutCredentials(remote), object: commit };
}

function isWithin(at: string, directory: string): boolean {
  return at === directory || at.startsWith(`${directory}/`);
}

async function hasSubmodules(git: Git): Promise<boolean> {
  return (await listTree(git, 'HEAD', ['.gitmodules'])).length > 0;
}

/** Throws `not_found`, or `failed_precondition` for what is no directory. */
async function checkSubdir(git: Git, commit: string, subdir: string, shown: string): Promise<void> {
  const [entry] = await listTree(git, commit, [subdir]);
  if (entry?.type === 'tree') return;
  if (!entry) {
    throw new KilnError('not_found', `invalid subdir ${subdir}: ${shown} has no such directory`, {
      hint: 'the directory is relative to the top of the repository, and no link may lead to it',
    });
  }
  const what = entry.type === 'commit' ? 'a submodule that is left out' : 'not a directory';
  throw new KilnError('failed_precondition', `invalid subdir ${subdir}: it is ${what} in ${shown}`);
}
