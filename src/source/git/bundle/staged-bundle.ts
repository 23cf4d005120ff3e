import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { KilnError } from '../../../base/errors.ts';
import { withStatus } from '../../../base/progress.ts';
import type { BlobPlace } from '../../blob/blob-place.ts';
import type { Git } from '../git.ts';
import {
  type Mirror,
  type MirrorContext,
  type ObjectStore,
  objectFormat,
  objectRef,
  type RemoteObject,
} from '../git-mirrors.ts';
import { isObjectName } from '../git-request.ts';

export interface StagedBundleOptions {
  /** Which bundle it is. */
  readonly place: BlobPlace;
  /** The bundle's file. */
  readonly file: string;
  /** The repository that it is said to be of: its objects come from the bundle, those of others from `others`. */
  readonly remote: string;
  readonly others: ObjectStore;
  /** Where a directory for the repository is made. */
  readonly directory: string;
}

/** What a bundle has, as a bare repository of its own until it is disposed: nothing of it gets into the mirror of the remote. */
export class StagedBundle implements ObjectStore, AsyncDisposable {
  /** The repository as git fetches from it. */
  readonly url: string;
  readonly #options: StagedBundleOptions;
  readonly #directory: string;

  private constructor(options: StagedBundleOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
    this.url = `file://${directory}`;
  }

  /** Throws `failed_precondition` for what is no bundle, or one that needs commits that are not in it. */
  static async open(options: StagedBundleOptions, context: MirrorContext): Promise<StagedBundle> {
    const { place, file, directory } = options;
    const own = await mkdtemp(path.join(directory, 'bundle-'));
    const staged = new StagedBundle(options, own);
    try {
      await withStatus(context.progress, `read bundle ${place.identifier}`, () =>
        unpack(file, own, context.git),
      );
      return staged;
    } catch (error) {
      await staged[Symbol.asyncDispose]();
      if (context.signal.aborted || !(error instanceof KilnError)) throw error;
      throw new KilnError(
        'failed_precondition',
        `failed to import git bundle ${place.identifier}: ${error.message}`,
        {
          cause: error,
          hint: 'it has to be one that `git bundle create` wrote, with the whole history of its refs',
        },
      );
    }
  }

  async use<T>(
    wanted: RemoteObject,
    context: MirrorContext,
    work: (mirror: Mirror) => Promise<T>,
  ): Promise<T> {
    const { remote, others, place } = this.#options;
    if (wanted.remote !== remote) return await others.use(wanted, context, work);
    const { object } = wanted;
    const git = gitOf(context.git, this.#directory);
    if ((await git.try(['update-ref', objectRef(object), object])).code !== 0) {
      throw new KilnError('not_found', `commit ${object} not found in bundle ${place.identifier}`, {
        hint: 'the checksum has to be that of a commit, or of the tag of one, that the bundle has',
      });
    }
    return await work({ directory: this.#directory, git });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function unpack(file: string, directory: string, git: Git): Promise<void> {
  const local = gitOf(git, directory);
  const refs = await local.run(['ls-remote', '--', file]);
  const [first = ''] = refs.split('\t', 1);
  if (!isObjectName(first)) throw new KilnError('failed_precondition', 'no refs found');
  await local.run([
    ...['init', '--quiet', '--bare', '--template=', '--initial-branch=main'],
    ...[`--object-format=${objectFormat(first)}`, directory],
  ]);
  await local.run(['fetch', '--quiet', '--no-write-fetch-head', '--', file, '+refs/*:refs/*']);
}

function gitOf(git: Git, directory: string): Git {
  return git.with({ environment: { GIT_DIR: directory }, protocols: ['file'] });
}
