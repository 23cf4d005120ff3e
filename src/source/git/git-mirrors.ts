import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { digestOf } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { ProgressWriter } from '../../base/progress.ts';
import type { CacheDirectories, CacheDirectory } from '../../ref/cache-directories.ts';
import type { MountedView } from '../../ref/ref.ts';
import { emptyDirectory } from './empty-directory.ts';
import { FetchProgress } from './fetch-progress.ts';
import type { Git } from './git.ts';
import { refusesCommits, refusesDepth } from './git-failure.ts';

/** A commit (or the annotated tag of one) of a remote. */
export interface RemoteObject {
  readonly remote: string;
  /** The remote without credentials. */
  readonly shown: string;
  readonly object: string;
}

export interface MirrorContext {
  /** Has the client's access to the remote. */
  readonly git: Git;
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
}

/** A bare repository that has the object, by the ref `objectRef` names, with its files and perhaps without its history. */
export interface Mirror {
  readonly directory: string;
  /** Run in it. */
  readonly git: Git;
}

/** Gives repositories that have objects of remotes. */
export interface ObjectStore {
  /** Runs `work` on a repository that has the object and that nobody else uses meanwhile. Throws `not_found` when the remote does not have it. */
  use<T>(wanted: RemoteObject, context: MirrorContext, work: (mirror: Mirror) => Promise<T>): Promise<T>;
}

/** After so many commits a mirror is made anew, to drop what is no longer needed. */
const defaultCommitLimit = 100;

/**
 * A bare repository for each remote, kept from build to build as a cache directory: the next commit is fetched as its difference from
 * those that are there. Only commits that are asked for are in it, each without its history if the server can do that.
 */
export class GitMirrors implements ObjectStore {
  readonly #cacheDirectories: CacheDirectories;
  readonly #commitLimit: number;

  constructor(cacheDirectories: CacheDirectories, options: { readonly commitLimit?: number } = {}) {
    this.#cacheDirectories = cacheDirectories;
    this.#commitLimit = options.commitLimit ?? defaultCommitLimit;
  }

  /**
   * Brings an object into the remote's mirror, if it is not there, and runs `work`, which has the mirror alone. A mirror that turns out to
   * be damaged is made anew, and `work` is run again. Throws `not_found` when the remote does not have the object.
   */
  async use<T>(
    wanted: RemoteObject,
    context: MirrorContext,
    work: (mirror: Mirror) => Promise<T>,
  ): Promise<T> {
    const format = objectFormat(wanted.object);
    const key = `git mirror ${format} ${digestOf(wanted.remote)}`;
    const cache = await this.#cacheDirectories.acquire(key, undefined, {
      description: `shared git repo for ${wanted.shown}`,
      sharing: 'locked',
      signal: context.signal,
    });
    try {
      await using view = await directoryOf(cache);
      const mirror: Mirror = {
        directory: view.path,
        git: context.git.with({ environment: { GIT_DIR: view.path } }),
      };
      await removeRemains(mirror.directory);
      await initialize(mirror, context, format);
      const attempt = async () => {
        await bring(wanted, mirror, context, this.#commitLimit);
        return await work(mirror);
      };
      try {
        return await attempt();
      } catch (error) {
        // Only a failure with no known reason can come from a damaged mirror.
        if (asKilnError(error).code !== 'unknown' || cache.fresh || (await isSound(mirror))) throw error;
        await emptyDirectory(mirror.directory);
        await initialize(mirror, context, format);
        return await attempt();
      }
    } finally {
      await cache.release();
    }
  }
}

/** The name that an object has in its mirror. */
export function objectRef(object: string): string {
  return `refs/kiln/${object}`;
}

/** How the names of objects are made. */
export function objectFormat(object: string): 'sha1' | 'sha256' {
  return object.length === 64 ? 'sha256' : 'sha1';
}

async function directoryOf(cache: CacheDirectory): Promise<MountedView> {
  const plain = await cache.plainDir();
  return plain === undefined ? await cache.mount() : { path: plain, async [Symbol.asyncDispose]() {} };
}

async function initialize(
  { directory }: Mirror,
  { git }: MirrorContext,
  format: 'sha1' | 'sha256',
): Promise<void> {
  await git.run([
    ...['init', '--quiet', '--bare', '--template=', '--initial-branch=main'],
    ...[`--object-format=${format}`, directory],
  ]);
}

/** Removes what a git that was killed left. Nobody else works in the mirror. */
async function removeRemains(directory: string): Promise<void> {
  for (const place of ['.', 'refs/kiln', 'objects/pack']) {
    const names = await readdir(path.join(directory, place)).catch(() => []);
    for (const name of names) {
      if (!name.endsWith('.lock') && !name.startsWith('tmp_') && name !== 'index') continue;
      await rm(path.join(directory, place, name), { force: true });
    }
  }
}

async function isSound({ git }: Mirror): Promise<boolean> {
  return (await git.try(['fsck', '--connectivity-only', '--no-dangling', '--no-progress'])).code === 0;
}

async function bring(
  wanted: RemoteObject,
  mirror: Mirror,
  context: MirrorContext,
  commitLimit: number,
): Promise<void> {
  const { directory } = mirror;
  const { object, shown } = wanted;
  if (existsSync(path.join(directory, objectRef(object)))) return;
  const kept = await readdir(path.join(directory, 'refs/kiln')).catch(() => []);
  if (kept.length >= commitLimit) {
    await emptyDirectory(directory);
    await initialize(mirror, context, objectFormat(object));
  }
  const progress = new FetchProgress(`fetch ${shown}`, context.progress);
  try {
    const git = mirror.git.with({ onMessage: (line) => progress.read(line) });
    await fetchObject(wanted, { ...mirror, git }, { history: false });
  } finally {
    progress.complete();
  }
}

/** Brings an object of a remote into a repository, with its history, or without it if the server can do that. Throws `not_found`. */
export async function fetchObject(
  { remote, shown, object }: RemoteObject,
  { git, directory }: Mirror,
  { history }: { readonly history: boolean },
): Promise<void> {
  const fetch = ['fetch', '--progress', '--no-write-fetch-head', '--no-tags', '--force'];
  const source = ['--', remote];
  const one = [...source, `${object}:${objectRef(object)}`];
  let args = [...fetch, ...(history ? [] : ['--depth=1']), ...one];
  let end = await git.try(args);
  if (end.code !== 0 && !history && refusesDepth(end.stderr)) {
    args = [...fetch, ...one];
    end = await git.try(args);
  }
  if (end.code === 0) return;
  if (!refusesCommits(end.stderr)) throw git.failure(args, end);
  // This server gives only what its refs point to: what they come from has to have it.
  const whole = existsSync(path.join(directory, 'shallow')) ? ['--unshallow'] : [];
  const all = ['+refs/heads/*:refs/remote/heads/*', '+refs/tags/*:refs/remote/tags/*'];
  await git.run([...fetch, '--prune', ...whole, ...source, ...all]);
  const update = await git.try(['update-ref', objectRef(object), object]);
  if (update.code === 0) return;
  throw new KilnError('not_found', `repository does not contain commit ${object}: ${shown}`, {
    hint: 'name a commit that a branch or tag of the repository has in its history',
  });
}
