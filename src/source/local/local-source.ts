import { KeyedLock, throwIfAborted } from '../../base/async/lifetime.ts';
import { digestOf, parseDigest } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { nearestName } from '../../base/nearest/nearest-name.ts';
import { reportTransfer } from '../../base/report-transfer.ts';
import { toSystemPath } from '../../base/text/byte-string.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { ChecksumPriming, KnownDigest } from '../../content-hash/checksum.ts';
import { listDirectory } from '../../file-sync/list-directory.ts';
import type { BaselineAccess, FileDigest } from '../../file-sync/receive/received-tree.ts';
import { syncDirectory } from '../../file-sync/sync-directory.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { RefStore } from '../../ref/ref-store.ts';
import type { Session, SessionManager } from '../../session/session.ts';
import { NewTree } from '../new-tree.ts';
import type { Source, SourceContext, SourceInstance, SourceKey } from '../source.ts';
import { LastTree } from './last-tree.ts';
import { type LocalOptions, localScheme, parseLocalOptions } from './local-options.ts';
import type { LocalTree, LocalTrees } from './local-trees.ts';

export interface LocalSourceOptions {
  readonly sessions: SessionManager;
  readonly refStore: RefStore;
  /** Gets the digests of received files, so that they are not read again. */
  readonly checksums: ChecksumPriming;
  readonly trees: LocalTrees;
  /** Threads that transfers share: a pool of their own, or slow clients keep other work waiting. */
  readonly pool: ThreadPool;
}

/**
 * `local://`: a directory of the client, by file sync. When nothing differs from the last time, the result is the same tree again. When
 * something does, what differs is sent, and the last tree is changed in place, unless somebody still looks at it: then what is
 * the same is copied. No file is ever part of two trees.
 */
export function createLocalSource(options: LocalSourceOptions): Source {
  const locks = new KeyedLock();
  return {
    schemes: [localScheme],
    contentOnly: true,
    open: (op) => new LocalInstance(parseLocalOptions(op), options, locks),
  };
}

/** How long a client may take to list its names, in milliseconds. */
const patience = 3_000;

class LocalInstance implements SourceInstance {
  readonly #local: LocalOptions;
  readonly #options: LocalSourceOptions;
  readonly #trees: LocalTrees;
  /** By directory: a look-up of the last tree waits while that tree is being changed. */
  readonly #locks: KeyedLock;

  constructor(local: LocalOptions, options: LocalSourceOptions, locks: KeyedLock) {
    this.#local = local;
    this.#options = options;
    this.#trees = options.trees;
    this.#locks = locks;
  }

  async key(context: SourceContext): Promise<SourceKey> {
    const [session] = this.#sessionIds(context);
    if (session === undefined) throw this.#noSession();
    return { digest: digestOf(JSON.stringify(['local', session, this.#local])) };
  }

  async snapshot(context: SourceContext): Promise<ImmutableRef> {
    const ids = this.#sessionIds(context);
    if (ids.length === 0) throw this.#noSession();
    try {
      return await this.#options.sessions.any(ids, (session) => this.#sync(session, context), context.signal);
    } catch (error) {
      throwIfAborted(context.signal);
      throw asKilnError(error).wrap(
        `cannot get the local directory ${JSON.stringify(this.#local.request.name)}`,
      );
    }
  }

  async nearestPath(path: string, context: SourceContext): Promise<string | undefined> {
    const { request } = this.#local;
    const names = path.split('/').filter(Boolean);
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(patience)]);
    return await this.#options.sessions.any(
      this.#sessionIds(context),
      async (session) => {
        for (const [depth, name] of names.entries()) {
          const above = names.slice(0, depth);
          const present = await listDirectory(session, request, above.join('/'), signal);
          if (present.includes(name)) continue;
          const meant = nearestName(name, present);
          return meant === undefined ? undefined : ['', ...above, meant].join('/');
        }
        return undefined;
      },
      signal,
    );
  }

  #sessionIds(context: SourceContext): readonly string[] {
    const { sessionId } = this.#local;
    return [...new Set([...(sessionId === '' ? [] : [sessionId]), ...context.sessions()])];
  }

  #noSession(): KilnError {
    const { name } = this.#local.request;
    return new KilnError(
      'failed_precondition',
      `the local directory ${JSON.stringify(name)} is at a client, but the build has no session with one`,
    );
  }

  async #sync(session: Session, context: SourceContext): Promise<ImmutableRef> {
    const { request, sharedKeyHint } = this.#local;
    const { refStore } = this.#options;
    const directory = JSON.stringify([request.name, sharedKeyHint, session.sharedKey]);
    const key = digestOf(JSON.stringify([directory, request]));
    await using resources = new AsyncDisposableStack();
    const known = await this.#find(key, directory, context.signal);
    const last = known && resources.use(new LastTree(refStore, known.ref));
    const tree = resources.use(
      new NewTree(refStore, { type: 'source.local', description: `local source for ${request.name}` }),
    );
    const digests: KnownDigest[] = [];
    const transfer = reportTransfer(
      { id: `transferring ${request.name}:`, name: 'transferring' },
      context.progress,
    );
    const baseline = known &&
      last &&
      request.differ === 'metadata' && {
        manifest: known.manifest,
        superseded: known.key === key,
        open: async (wish: BaselineAccess) => {
          const lock = resources.use(await this.#locks.acquire(directory, context.signal));
          const opened = await last.open(wish);
          if (opened.access === 'read') lock[Symbol.dispose]();
          return opened;
        },
      };
    const result = await syncDirectory(
      session,
      request,
      { kind: 'new-tree', baseline: baseline || undefined, makeDirectory: () => tree.makeDirectory() },
      {
        pool: this.#options.pool,
        signal: context.signal,
        onReceived: transfer.advance,
        onDigests: (some) => digests.push(...some.map(knownDigest)),
      },
    ).finally(transfer.complete);
    if (result.kind === 'unchanged') {
      if (known!.key === key) this.#trees.markUsed(key);
      else this.#trees.put({ key, ref: known!.ref.id, manifest: known!.manifest }, directory);
      return last!.ref.clone();
    }
    const ref = result.made === 'in-place' ? await last!.freeze() : await tree.freeze();
    try {
      const [dir] = await ref.layerDirs(context);
      if (dir !== undefined) await this.#options.checksums.prime(dir, digests, context.signal);
      // A tree that a newer one has replaced is of no more use.
      const replaced = this.#trees.put({ key, ref: ref.id, manifest: result.manifest }, directory);
      if (replaced !== undefined && replaced !== ref.id) refStore.retire(replaced);
      return ref;
    } catch (error) {
      refStore.retire(ref.id);
      await ref.release();
      throw error;
    }
  }

  /** The last tree, held. */
  async #find(key: string, directory: string, signal: AbortSignal): Promise<KnownTree | undefined> {
    using _lock = await this.#locks.acquire(directory, signal);
    const known = this.#trees.find(key, directory);
    const ref = known && (await this.#options.refStore.get(known.ref));
    if (known && !ref) this.#trees.forget(known);
    return ref && { key: known!.key, manifest: known!.manifest, ref };
  }
}

interface KnownTree extends Omit<LocalTree, 'ref'> {
  readonly ref: ImmutableRef;
}

function knownDigest({ path, content }: FileDigest): KnownDigest {
  return {
    path: toSystemPath(path),
    content: content && { header: content.header, digest: parseDigest(`sha256:${content.sha256}`) },
  };
}
