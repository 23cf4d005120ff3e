import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { withStatus } from '../../base/progress.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { GitMetadata } from '../../llb/source-metadata.ts';
import type { CacheDirectories } from '../../ref/cache-directories.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { RefFactory } from '../../ref/ref-store.ts';
import type { BlobFetcher } from '../blob/blob-fetcher.ts';
import { NewTree } from '../new-tree.ts';
import { ResolutionCache } from '../resolution-cache.ts';
import { checkSignature } from '../signatures/check-signature.ts';
import type { CommitResolver, Source, SourceContext, SourceInstance, SourceKey } from '../source.ts';
import { StagedBundle } from './bundle/staged-bundle.ts';
import { writeBundle } from './bundle/write-bundle.ts';
import { type DescribedObject, describeObject } from './describe-object.ts';
import type { Git } from './git.ts';
import { type GitAccessOptions, openGitAccess } from './git-access.ts';
import { gitCacheDigest } from './git-cache-digest.ts';
import { GitCheckout } from './git-checkout.ts';
import { GitMirrors, type ObjectStore } from './git-mirrors.ts';
import { type GitRequest, gitScheme, parseGitRequest } from './git-request.ts';
import { checkChecksum, knownRef, type ResolvedRef, resolveRef } from './resolve-ref.ts';
import { checkSignedBy } from './signed/signed-by.ts';
import type { SetTimesInput } from './times/set-times.task.ts';

export interface GitSourceOptions extends GitAccessOptions {
  readonly refStore: RefFactory;
  readonly cacheDirectories: CacheDirectories;
  readonly pool: ThreadPool;
  /** Brings bundles. */
  readonly blobs: BlobFetcher;
}

/**
 * `git://`: a commit of a repository, by the `git` program. What a ref points to is asked of the remote without fetching; the commit
 * comes through a mirror that is kept between builds.
 */
export function createGitSource(options: GitSourceOptions): Source & CommitResolver {
  // What a killed process left.
  rmSync(options.directory, { recursive: true, force: true });
  const parts: GitParts = {
    ...options,
    mirrors: new GitMirrors(options.cacheDirectories),
    resolutions: new ResolutionCache(),
  };
  return {
    schemes: [gitScheme],
    contentOnly: false,
    open: (op) => new GitInstance(parseGitRequest(op), parts),
    resolveCommit: (op, { withObjects }, context) =>
      new GitInstance(parseGitRequest(op), parts).describe(withObjects, context),
  };
}

/** What objects of a request come from, until it is disposed. */
interface GitOrigin extends AsyncDisposable {
  /** What git fetches from. */
  readonly url: string;
  /** May fetch from there. */
  readonly git: Git;
  readonly objects: ObjectStore;
}

interface GitParts extends GitSourceOptions {
  readonly mirrors: GitMirrors;
  readonly resolutions: ResolutionCache<ResolvedRef>;
}

class GitInstance implements SourceInstance {
  readonly #request: GitRequest;
  readonly #parts: GitParts;
  #resolved: ResolvedRef | undefined;

  constructor(request: GitRequest, parts: GitParts) {
    this.#request = request;
    this.#parts = parts;
  }

  async key(context: SourceContext): Promise<SourceKey> {
    const resolved = await this.#resolve(context);
    if (this.#request.signature) await this.#describeObjects(resolved, context);
    this.#resolved = resolved;
    return { digest: gitCacheDigest(this.#request, resolved), pin: resolved.object };
  }

  /** What the ref is now. The objects themselves, which have to be fetched, are included only when they are wanted. */
  async describe(withObjects: boolean, context: SourceContext): Promise<GitMetadata> {
    const resolved = await this.#resolve(context);
    const { name: ref, object, commit } = resolved;
    const known = { ref, object, commit, commitObject: undefined, tagObject: undefined };
    if (!withObjects && !this.#request.signature) return known;
    const described = await this.#describeObjects(resolved, context);
    if (!withObjects) return known;
    return { ...known, ...described, commit: described.commit === object ? undefined : described.commit };
  }

  /** The commit, and the tag of it. Throws `failed_precondition` when they are not signed as the request wants it. */
  async #describeObjects({ object }: ResolvedRef, context: SourceContext): Promise<DescribedObject> {
    const { remote, shown, signature } = this.#request;
    await using access = await openGitAccess(this.#request, this.#parts, context);
    await using origin = await this.#openOrigin(access.git, context);
    const { signal, progress } = context;
    const work = async () => {
      const objects = { git: access.git, signal, progress };
      const described = await describeObject(origin.objects, { remote, shown, object }, objects);
      if (!signature) return described;
      const { keys, rejectExpiredKeys } = signature;
      await checkSignedBy(object, described, signature, ({ payload, signature: made }) =>
        checkSignature(
          this.#parts.pool,
          { content: { bytes: payload }, signature: made, keys, rejectExpiredKeys, sshNamespace: 'git' },
          signal,
        ),
      );
      return described;
    };
    return await this.#named(work());
  }

  async #resolve(context: SourceContext): Promise<ResolvedRef> {
    const request = this.#request;
    const known = knownRef(request);
    if (known) return known;
    const { remote, ref, checksum, shown, bundle } = request;
    const resolved = await this.#parts.resolutions.get(
      JSON.stringify([remote, ref, bundle?.identifier ?? '']),
      context,
      (shared) =>
        withStatus(context.progress, `resolve ${shown}${ref === '' ? '' : `#${ref}`}`, async () => {
          await using access = await openGitAccess(request, this.#parts, shared);
          await using origin = await this.#openOrigin(access.git, shared);
          return await this.#named(resolveRef(origin.git, { remote: origin.url, shown, ref }));
        }),
    );
    checkChecksum(checksum, [resolved.object, resolved.commit]);
    return resolved;
  }

  async snapshot(context: SourceContext): Promise<ImmutableRef> {
    const request = this.#request;
    if (!this.#resolved) throw new KilnError('internal', `${request.shown}: snapshot before key`);
    const { name, object } = this.#resolved;
    const { remote, shown, ref, subdir, keepGitDir, skipSubmodules } = request;
    const { refStore, pool } = this.#parts;
    await using access = await openGitAccess(request, this.#parts, context);
    const { git } = access;
    await using place = await this.#openOrigin(git, context);
    await using tree = new NewTree(refStore, {
      type: 'source.git.checkout',
      description: `git snapshot for ${shown}#${ref || name}`,
    });
    const directory = await tree.makeDirectory();
    const { signal, progress } = context;
    const checkout = new GitCheckout({ objects: place.objects, skipSubmodules, git, signal, progress });
    const origin = { remote, shown, object };
    const write = () => {
      if (request.checkoutBundle) {
        const from = { remote: place.url, shown, object };
        return writeBundle(from, name, directory, this.#parts.directory, {
          git: place.git,
          signal,
          progress,
        });
      }
      return keepGitDir
        ? checkout.writeRepository(origin, name, directory)
        : checkout.writeFiles(origin, subdir, directory);
    };
    await this.#named(write());
    if (request.commitTimes) {
      const input: SetTimesInput = { directory, time: await checkout.commitTime(origin) };
      await pool.run(new URL('./times/set-times.task.ts', import.meta.url), input, { signal });
    }
    return await tree.commit();
  }

  /** Opens what objects come from: the remote, or a bundle. `git` has the access to the remote. */
  async #openOrigin(git: Git, context: SourceContext): Promise<GitOrigin> {
    const { remote, bundle } = this.#request;
    const { mirrors, blobs, directory } = this.#parts;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if (!bundle) return { url: remote, git, objects: mirrors, async [Symbol.asyncDispose]() {} };
    await blobs.bring(bundle, context);
    const staged = await StagedBundle.open(
      { place: bundle, file: blobs.file(bundle), remote, others: mirrors, directory },
      { git, signal: context.signal, progress: context.progress },
    );
    return {
      url: staged.url,
      git: git.with({
        protocols: ['file'],
        redact: (text) => text.replaceAll(staged.url, bundle.identifier),
      }),
      objects: staged,
      [Symbol.asyncDispose]: () => staged[Symbol.asyncDispose](),
    };
  }

  /** Adds the repository to errors that do not name it. */
  async #named<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      const known = asKilnError(error);
      throw known.code === 'canceled' || known.message.includes(this.#request.shown)
        ? known
        : known.wrap(this.#request.shown);
    }
  }
}
