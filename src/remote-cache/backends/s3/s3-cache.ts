import { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { throwIfAborted } from '../../../base/async/lifetime.ts';
import { attempt } from '../../attempt.ts';
import type { CacheAccess, CacheBackend, CacheBackendType } from '../../cache-backend.ts';
import { downloadBlob } from '../../download-blob.ts';
import { received, receivedDocument, wholeBlob } from '../body-streams.ts';
import { openS3Client } from './s3-client.ts';
import { objectState, s3Error } from './s3-error.ts';
import { type S3Options, s3Options } from './s3-options.ts';
import { touchObject } from './touch-object.ts';

/** Bytes of a part of a large blob; four parts of a blob are in memory. The service takes 10,000 parts. */
const smallestPart = 5 * 1024 * 1024;
const mostParts = 10_000;
const bodyRetry = { attempts: 3, firstDelay: 100 };

/** Caches in a bucket of Amazon S3, or of a server that speaks its protocol. Keys of objects are BuildKit's. */
export const s3Cache: CacheBackendType = {
  type: 's3',
  exportName: 'exporting cache to Amazon S3',
  open(attributes, purpose) {
    const options = s3Options(attributes, process.env);
    return openS3Cache(purpose === 'import' ? { ...options, names: options.names.slice(0, 1) } : options);
  },
};

function openS3Cache(options: S3Options): CacheBackend {
  const { bucket: Bucket, prefix, endpoint, region } = options;
  const host = endpoint?.host ?? `s3.${region}.amazonaws.com`;
  const blobKey = (digest: string) => `${prefix}${options.blobsPrefix}${digest}`;
  const documentKey = (name: string) => `${prefix}${options.manifestsPrefix}${name}`;
  const nameOf = (key: string) => `s3://${Bucket}/${key}`;
  let opened: Promise<S3Client> | undefined;

  /** Runs requests for an object; their errors name it. */
  async function ask<T>(
    key: string,
    { signal }: CacheAccess,
    request: (client: S3Client, object: { Bucket: string; Key: string }) => Promise<T>,
  ): Promise<T> {
    throwIfAborted(signal);
    opened ??= openS3Client(options);
    const client = await opened;
    try {
      return await request(client, { Bucket, Key: key });
    } catch (error) {
      throw s3Error(error, nameOf(key), host, signal);
    }
  }

  return {
    place: `${nameOf(documentKey(''))} at ${host}`,
    form: 'config',
    names: options.names,
    uploads: options.uploads,

    async hasBlob({ digest }, access) {
      const { HeadObjectCommand } = await import('@aws-sdk/client-s3');
      const { signal } = access;
      return await ask(blobKey(digest), access, async (client, object) => {
        const request = new HeadObjectCommand(object);
        const found = await client.send(request, { abortSignal: signal }).catch(ifState);
        if (typeof found === 'string') return false;
        const age = Date.now() - (found.LastModified?.getTime() ?? Date.now());
        if (age > options.touchRefresh) {
          const size = found.ContentLength ?? 0;
          await touchObject(client, { bucket: Bucket, key: object.Key, size }, signal);
        }
        return true;
      });
    },

    async writeBlob(blob, body, access) {
      const { Upload } = await import('@aws-sdk/lib-storage');
      await ask(blobKey(blob.digest), access, async (client, object) => {
        const abortController = new AbortController();
        const abort = () => abortController.abort();
        access.signal.addEventListener('abort', abort, { once: true });
        const Body = Readable.from(wholeBlob(blob, body, access.signal), { objectMode: false });
        const partSize = Math.max(smallestPart, Math.ceil(blob.size / mostParts));
        try {
          await new Upload({ client, params: { ...object, Body }, partSize, abortController }).done();
        } finally {
          access.signal.removeEventListener('abort', abort);
          Body.destroy();
        }
      });
    },

    async fetchBlob(blob, store, access) {
      const { GetObjectCommand } = await import('@aws-sdk/client-s3');
      const { signal } = access;
      const key = blobKey(blob.digest);
      await downloadBlob(blob, store, access, async (offset) => {
        const Range = offset > 0 ? `bytes=${offset}-` : undefined;
        const answer = await ask(key, access, (client, object) =>
          client.send(new GetObjectCommand({ ...object, Range }), { abortSignal: signal }),
        );
        return received(answer.Body as Readable, (error) => s3Error(error, nameOf(key), host, signal));
      });
    },

    async readDocument(name, known, access) {
      const { GetObjectCommand } = await import('@aws-sdk/client-s3');
      const { signal } = access;
      const read = async (client: S3Client, object: { Bucket: string; Key: string }) => {
        const request = new GetObjectCommand({ ...object, IfNoneMatch: known });
        const found = await client.send(request, { abortSignal: signal }).catch(ifState);
        if (typeof found === 'string') return found === 'unchanged' ? found : undefined;
        return { bytes: await receivedDocument(found.Body as Readable), version: found.ETag };
      };
      // The library does not ask again for a body that breaks off.
      return await attempt(signal, () => ask(documentKey(name), access, read), bodyRetry);
    },

    async writeDocument(name, { bytes }, access) {
      const { PutObjectCommand } = await import('@aws-sdk/client-s3');
      await ask(documentKey(name), access, (client, object) =>
        client.send(new PutObjectCommand({ ...object, Body: bytes }), { abortSignal: access.signal }),
      );
    },
  };
}

/** A refusal that says what there is is an answer; others are thrown. */
function ifState(error: unknown): 'missing' | 'unchanged' {
  const state = objectState(error);
  if (state) return state;
  throw error;
}
