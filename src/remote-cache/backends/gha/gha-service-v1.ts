import { KilnError } from '../../../base/errors.ts';
import type { GhaOptions } from './gha-options.ts';
import type { GhaRefusal, GhaRequests } from './gha-requests.ts';
import { type ActionsCacheService, entryVersion } from './gha-service.ts';

const accept = { accept: 'application/json;api-version=6.0-preview.1' };
const json = { ...accept, 'content-type': 'application/json' };

/** The first version of the service: REST, and data in ranges. */
export function firstActionsCache({ url }: GhaOptions, requests: GhaRequests): ActionsCacheService {
  const base = `${url.origin}${url.pathname.replace(/\/+$/, '')}/_apis/artifactcache`;
  return {
    async find(prefix, signal) {
      const query = new URLSearchParams({ keys: prefix, version: entryVersion });
      const request = { method: 'GET', url: new URL(`${base}/cache?${query}`), headers: accept } as const;
      const subject = `gha cache ${prefix}`;
      const answer = await requests.ask({ ...request, subject }, ({ status }) => status === 404, signal);
      if (!('json' in answer) || !answer.json) return undefined;
      const { cacheKey: key, archiveLocation: location } = answer.json;
      if (typeof key !== 'string' || key === '') return undefined;
      if (typeof location !== 'string' || !URL.canParse(location)) {
        throw new KilnError('data_loss', `${subject}: the cache service does not say where the entry is`);
      }
      return { key, url: new URL(location) };
    },

    async reserve(key, signal) {
      const subject = `gha cache ${key}`;
      const body = Buffer.from(JSON.stringify({ key, version: entryVersion }));
      const request = {
        method: 'POST',
        url: new URL(`${base}/caches`),
        headers: json,
        body,
        subject,
      } as const;
      const answer = await requests.ask(request, isTaken, signal);
      if (!('json' in answer)) return undefined;
      const id = answer.json?.cacheId ?? answer.json?.cacheID;
      if (typeof id !== 'number' || !Number.isSafeInteger(id) || id <= 0) {
        throw new KilnError('data_loss', `${subject}: the cache service gave no id`);
      }
      const entry = new URL(`${base}/caches/${id}`);
      return {
        async upload(chunks, signal) {
          let start = 0;
          for await (const chunk of chunks) {
            const range = `bytes ${start}-${start + chunk.length - 1}/*`;
            const headers = { ...accept, 'content-type': 'application/octet-stream', 'content-range': range };
            await requests.ask({ method: 'PATCH', url: entry, headers, body: chunk, subject }, never, signal);
            start += chunk.length;
          }
        },
        async finish(size, signal) {
          const body = Buffer.from(JSON.stringify({ size }));
          await requests.ask({ method: 'POST', url: entry, headers: json, body, subject }, never, signal);
        },
      };
    },
  };
}

function isTaken({ status, said }: GhaRefusal): boolean {
  return status === 409 || /already ?exists/i.test(said);
}

function never(): boolean {
  return false;
}
