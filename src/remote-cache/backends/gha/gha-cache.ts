import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { abortError } from '../../../base/async/lifetime.ts';
import { KilnError } from '../../../base/errors.ts';
import type { CacheBackend, CacheBackendType } from '../../cache-backend.ts';
import { downloadBlob } from '../../download-blob.ts';
import { continued, inChunks, once, received, receivedDocument, wholeBlob } from '../body-streams.ts';
import { serviceError } from '../service-error.ts';
import { listedBlobs } from './gha-listing.ts';
import { type GhaOptions, ghaBlobKey, ghaOptions } from './gha-options.ts';
import { GhaRequests } from './gha-requests.ts';
import { type ActionsCacheEntry, chunkSize } from './gha-service.ts';
import { firstActionsCache } from './gha-service-v1.ts';
import { secondActionsCache } from './gha-service-v2.ts';

/** Milliseconds. */
export interface Patience {
  /** For somebody else to finish a key: a writer that went away keeps it for ever. */
  readonly taken: number;
  readonly between: number;
}

/** Numbers of a key that are passed over: a service that always says that somebody has the key has no room for it. */
const mostTaken = 20;
const defaultPatience: Patience = { taken: 15_000, between: 2_000 };

/**
 * Caches in the cache service of GitHub Actions. Keys are BuildKit's. The service keeps what is written first under a key, so each version of a
 * document has a number of its own after `#`; so has a blob whose key was taken by a writer that never finished.
 */
export function createGhaCache(patience = defaultPatience): CacheBackendType {
  return {
    type: 'gha',
    exportName: 'exporting to GitHub Actions Cache',
    open: (attributes, purpose) => openGhaCache(ghaOptions(attributes, purpose), patience),
  };
}

function openGhaCache(options: GhaOptions, patience: Patience): CacheBackend {
  const requests = new GhaRequests(options);
  const service = (options.version === 2 ? secondActionsCache : firstActionsCache)(options, requests);
  let listing: Promise<ReadonlySet<string> | undefined> | undefined;

  /** The newest entry of a key, with or without a number. */
  async function find(key: string, signal: AbortSignal): Promise<ActionsCacheEntry | undefined> {
    const found = await service.find(key, signal);
    return found && (found.key === key || found.key.startsWith(`${key}#`)) ? found : undefined;
  }

  /** Returns false when the key is somebody else's. */
  async function save(key: string, data: AsyncIterable<Uint8Array>, size: number, signal: AbortSignal) {
    const chunks = inChunks(data, chunkSize);
    try {
      // What cannot be read must not take a key.
      const first = await chunks.next();
      const reserved = await service.reserve(key, signal);
      if (!reserved) return false;
      await reserved.upload(continued(first, chunks), signal);
      await reserved.finish(size, signal).catch(async (error: unknown) => {
        // Only the answer may be lost.
        if (signal.aborted || (await find(key, signal))?.key !== key) throw error;
      });
      return true;
    } finally {
      await chunks.return(undefined);
    }
  }

  async function read({ url, key }: ActionsCacheEntry, offset: number, signal: AbortSignal) {
    const subject = `gha cache ${key}`;
    const body = await requests.download(url, subject, offset, signal);
    return received(body, (error) => {
      const failure = { subject, host: url.host, status: undefined, name: undefined, message: '' };
      return serviceError(error, failure, signal);
    });
  }

  return {
    place: `github actions cache ${options.url.host}${options.url.pathname.replace(/\/+$/, '')}`,
    form: 'config',
    names: options.names,
    uploads: 4,

    async hasBlob({ digest }, { signal }) {
      listing ??= listedBlobs(options, signal);
      const listed = await listing;
      return listed?.has(ghaBlobKey(digest)) ?? (await find(ghaBlobKey(digest), signal)) !== undefined;
    },

    async writeBlob(blob, body, { signal }) {
      const key = ghaBlobKey(blob.digest);
      const deadline = Date.now() + patience.taken;
      for (let number = 0; ; ) {
        const candidate = number === 0 ? key : `${key}#${number}`;
        if (await save(candidate, wholeBlob(blob, body, signal), blob.size, signal)) return;
        if (await find(key, signal)) return;
        if (Date.now() < deadline) await wait(patience.between, signal);
        else if (number++ === mostTaken) throw allTaken(key);
      }
    },

    async fetchBlob(blob, store, access) {
      const { signal } = access;
      await downloadBlob(blob, store, access, async (offset) => {
        const entry = await find(ghaBlobKey(blob.digest), signal);
        if (entry) return await read(entry, offset, signal);
        throw new KilnError('not_found', `github actions cache has no blob ${blob.digest}`);
      });
    },

    async readDocument(name, known, { signal }) {
      const entry = await service.find(`${name}#`, signal);
      if (!entry) return undefined;
      // The same key may be another document in another repository.
      const location = createHash('sha256').update(`${entry.url.origin}${entry.url.pathname}`).digest('hex');
      const version = `${entry.key} ${location}`;
      if (version === known) return 'unchanged';
      return { bytes: await receivedDocument(await read(entry, 0, signal)), version };
    },

    async writeDocument(name, { bytes }, { signal }) {
      const deadline = Date.now() + patience.taken;
      for (let skipped = 0; ; ) {
        const number = numberOf((await service.find(`${name}#`, signal))?.key, name) + 1 + skipped;
        if (await save(`${name}#${number}`, once(bytes), bytes.length, signal)) return;
        if (Date.now() < deadline) await wait(patience.between, signal);
        else if (skipped++ === mostTaken) throw allTaken(name);
      }
    },
  };
}

/** The number of a document's newest version. */
function numberOf(key: string | undefined, name: string): number {
  if (key === undefined) return 0;
  const text = key.slice(name.length + 1);
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new KilnError('data_loss', `gha cache ${name} has a version without a number`, {
    hint: 'use another scope',
  });
}

function allTaken(key: string): KilnError {
  return new KilnError(
    'unavailable',
    `gha cache ${key}: the service says that the key and others like it are all taken`,
  );
}

async function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => {
    throw abortError(signal);
  });
}
