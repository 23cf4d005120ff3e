import { Readable } from 'node:stream';
import { KilnError } from '../../../base/errors.ts';
import { azureTransport, onlyOnce } from '../azure/azure-transport.ts';
import { serviceError } from '../service-error.ts';
import type { GhaOptions } from './gha-options.ts';
import type { GhaRefusal, GhaRequests } from './gha-requests.ts';
import { type ActionsCacheService, chunkSize, entryVersion } from './gha-service.ts';

const uploadsAtOnce = 2;

/** The second version of the service: Twirp (calls by POST, messages in JSON), and data in Azure's storage by signed addresses. */
export function secondActionsCache({ url }: GhaOptions, requests: GhaRequests): ActionsCacheService {
  const base = `${url.origin}${url.pathname.replace(/\/+$/, '')}/twirp/github.actions.results.api.v1.CacheService`;

  async function call(
    name: string,
    key: string,
    message: object,
    isAnswer: (refusal: GhaRefusal) => boolean,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, unknown>> | undefined> {
    const body = Buffer.from(JSON.stringify({ key, version: entryVersion, ...message }));
    const headers = { 'content-type': 'application/json' };
    const request = { method: 'POST', url: new URL(`${base}/${name}`), headers, body } as const;
    const answer = await requests.ask({ ...request, subject: `gha cache ${key}` }, isAnswer, signal);
    return 'json' in answer && answer.json?.ok === true ? answer.json : undefined;
  }

  return {
    async find(prefix, signal) {
      const isMissing = ({ status }: GhaRefusal) => status === 404;
      const message = { restore_keys: [prefix] };
      const found = await call('GetCacheEntryDownloadURL', prefix, message, isMissing, signal);
      if (typeof found?.matched_key !== 'string') return undefined;
      return { key: found.matched_key, url: signedUrl(found.signed_download_url, prefix) };
    },

    async reserve(key, signal) {
      const isTaken = ({ status, said }: GhaRefusal) => status === 409 || /already_exists/.test(said);
      const created = await call('CreateCacheEntry', key, {}, isTaken, signal);
      if (!created) return undefined;
      const uploadUrl = signedUrl(created.signed_upload_url, key);
      return {
        upload: (chunks, signal) => upload(uploadUrl, `gha cache ${key}`, chunks, signal),
        async finish(size, signal) {
          const done = await call('FinalizeCacheEntryUpload', key, { size_bytes: size }, () => false, signal);
          if (!done)
            throw new KilnError('failed_precondition', `gha cache ${key}: the service did not take it`);
        },
      };
    },
  };
}

async function upload(
  url: URL,
  subject: string,
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const { BlockBlobClient, newPipeline } = await import('@azure/storage-blob');
  const httpClient = azureTransport(subject, signal);
  const blob = new BlockBlobClient(url.href, newPipeline(undefined, { ...onlyOnce, httpClient }));
  const stream = Readable.from(chunks, { objectMode: false });
  try {
    await blob.uploadStream(stream, chunkSize, uploadsAtOnce, { abortSignal: signal });
  } catch (error) {
    const {
      statusCode: status,
      code: name,
      message,
    } = error as { statusCode?: number; code?: string; message: string };
    throw serviceError(error, { subject, host: url.host, status, name, message }, signal);
  } finally {
    stream.destroy();
  }
}

function signedUrl(value: unknown, key: string): URL {
  if (typeof value === 'string' && URL.canParse(value)) return new URL(value);
  throw new KilnError('data_loss', `gha cache ${key}: the cache service does not say where the data is`);
}
