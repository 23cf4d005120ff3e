import type { DatabaseSync } from 'node:sqlite';
import { digestOf, parseDigest } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { throwIfAborted } from '../base/lifetime.ts';
import { nearestName } from '../base/nearest-name.ts';
import type { ThreadPool } from '../base/thread-pool.ts';
import type { KnownDigest, PrimableChecksums } from '../layer/content-checksums.ts';
import type { ImmutableRef, RefStore } from '../layer/ref.ts';
import { listDirectory } from '../session/file-sync/list-directory.ts';
import type { FileDigest } from '../session/file-sync/receive.ts';
import { syncDirectory } from '../session/file-sync/sync-directory.ts';
import type { Session, SessionManager } from '../session/session.ts';
import { type LocalOptions, localScheme, parseLocalOptions } from './local-options.ts';
import { type LocalTree, LocalTrees } from './local-trees.ts';
import { NewTree } from './new-tree.ts';
import { reportTransfer } from './report-transfer.ts';
import type { Source, SourceContext, SourceInstance, SourceKey } from './source.ts';

export interface LocalSourceOptions {
  readonly sessions: SessionManager;
  readonly refStore: Pick<RefStore, 'get' | 'createMutable' | 'retire'>;
  /** Told the digests of received files, so that they are not read again. */
  readonly checksums: Pick<PrimableChecksums, 'prime'>;
  readonly database: DatabaseSync;
  /** Threads that are each held for a whole transfer: a pool of their own, or slow clients keep other work waiting. */
  readonly pool: ThreadPool;
}

/**
 * `local://`: a directory of the client, by file sync. Each result is a tree of its own that never changes; the next sync
 * of the same directory hard-links from it what is still the same, and when nothing differs gives the same tree again.
 */
export function createLocalSource(options: LocalSourceOptions): Source {
  const trees = new LocalTrees(options.database);
  return {
    schemes: [localScheme],
    contentOnly: true,
    open: (op) => new LocalInstance(parseLocalOptions(op), options, trees),
  };
}

/** How long a client may take to tell which names it has, in milliseconds. */
const patience = 3_000;

class LocalInstance implements SourceInstance {
  readonly #local: LocalOptions;
  readonly #options: LocalSourceOptions;
  readonly #trees: LocalTrees;

  constructor(local: LocalOptions, options: LocalSourceOptions, trees: LocalTrees) {
    this.#local = local;
    this.#options = options;
    this.#trees = trees;
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
    const directory = JSON.stringify([request.name, sharedKeyHint, session.sharedKey]);
    const key = digestOf(JSON.stringify([directory, request]));
    const known = this.#trees.find(key, directory);
    const base = known && (await this.#options.refStore.get(known.ref));
    if (known && !base) this.#trees.forget(known);
    const exact = known?.key === key;
    await using tree = new NewTree(this.#options.refStore, {
      type: 'source.local',
      description: `local source for ${request.name}`,
    });
    try {
      const digests: KnownDigest[] = [];
      const baseDirs = base && request.differ === 'metadata' ? await base.layerDirs(context) : [];
      const [baseDir] = baseDirs;
      const transfer = reportTransfer(
        { id: `transferring ${request.name}:`, name: 'transferring' },
        context.progress,
      );
      const result = await syncDirectory(
        session,
        request,
        {
          kind: 'new-tree',
          baseline:
            known && baseDir !== undefined && baseDirs.length === 1
              ? { dir: baseDir, manifest: known.manifest }
              : undefined,
          makeDirectory: () => tree.makeDirectory(),
        },
        {
          pool: this.#options.pool,
          signal: context.signal,
          onReceived: transfer.advance,
          onDigests: (some) => digests.push(...some.map(knownDigest)),
        },
      ).finally(transfer.complete);
      if (result.kind === 'unchanged') {
        if (exact) this.#trees.markUsed(key);
        else this.#trees.put({ key, ref: base!.id, manifest: known!.manifest }, directory);
        return base!.clone();
      }
      const ref = await tree.commit({ sharesFiles: baseDir !== undefined });
      const [dir] = await ref.layerDirs(context);
      if (dir !== undefined) await this.#options.checksums.prime(dir, digests, context.signal);
      this.#trees.put({ key, ref: ref.id, manifest: result.manifest }, directory);
      if (exact && known) await this.#drop(known, base);
      return ref;
    } finally {
      await base?.release();
    }
  }

  /** A tree that a newer one has replaced is of no more use, unless somebody still holds it. */
  async #drop(tree: LocalTree, handle: ImmutableRef | undefined): Promise<void> {
    if (!handle) return;
    await handle.release();
    this.#options.refStore.retire(tree.ref);
  }
}

/** Paths come as bytes in latin1; those that are UTF-8 are told as text. */
function knownDigest({ path, sha256 }: FileDigest): KnownDigest {
  const isAscii = /^[\x00-\x7f]*$/.test(path);
  return { path: isAscii ? path : Buffer.from(path, 'latin1'), digest: parseDigest(`sha256:${sha256}`) };
}
