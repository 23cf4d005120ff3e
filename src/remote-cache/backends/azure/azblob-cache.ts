import { Readable } from 'node:stream';
import type { BlockBlobClient, ContainerClient } from '@azure/storage-blob';
import { throwIfAborted } from '../../../base/async/lifetime.ts';
import { KilnError } from '../../../base/errors.ts';
import type { CacheAccess, CacheBackend, CacheBackendType } from '../../cache-backend.ts';
import { downloadBlob } from '../../download-blob.ts';
import { received, receivedDocument, wholeBlob } from '../body-streams.ts';
import { serviceError } from '../service-error.ts';
import { openContainer } from './azure-container.ts';
import { type AzureOptions, azureOptions } from './azure-options.ts';

/** Bytes of a block of a large blob, and how many of a blob are in memory. The service takes 50,000 blocks. */
const blockSize = 8 * 1024 * 1024;
const blocksAtOnce = 4;

/** Caches in a container of Azure Blob Storage. Names of blobs are BuildKit's. */
export const azblobCache: CacheBackendType = {
  type: 'azblob',
  exportName: 'exporting cache to Azure Blob Storage',
  open: (attributes) => openAzblobCache(azureOptions(attributes, process.env)),
};

function openAzblobCache(options: AzureOptions): CacheBackend {
  const { container, accountUrl, blobKey, documentKey } = options;
  const place = `${accountUrl.origin}${accountUrl.pathname.replace(/\/$/, '')}/${container}`;

  /** Runs requests for a blob; their errors name it. A container that is missing is made when something is written. */
  async function ask<T>(
    key: string,
    purpose: 'read' | 'write',
    { signal }: CacheAccess,
    request: (blob: BlockBlobClient) => Promise<T>,
  ): Promise<T> {
    throwIfAborted(signal);
    const client = await openContainer(options, place, signal);
    const blob = client.getBlockBlobClient(key);
    try {
      return await request(blob).catch(async (error: unknown) => {
        if (purpose === 'read' || failureOf(error).code !== 'ContainerNotFound') throw error;
        await create(client, signal);
        return await request(blob);
      });
    } catch (error) {
      throw asError(error, key, signal);
    }
  }

  const asError = (error: unknown, key: string, signal: AbortSignal) => {
    const { statusCode: status, code: name, message } = failureOf(error);
    const failure = { subject: `${place}/${key}`, host: accountUrl.host, status, name, message };
    return serviceError(error, failure, signal);
  };

  return {
    place: `${place}/${documentKey('')}`,
    form: 'config',
    names: options.names,
    uploads: 4,

    async hasBlob({ digest }, access) {
      return await ask(blobKey(digest), 'read', access, (blob) =>
        blob.exists({ abortSignal: access.signal }),
      );
    },

    async writeBlob(descriptor, body, access) {
      const { signal } = access;
      await ask(blobKey(descriptor.digest), 'write', access, async (blob) => {
        const stream = Readable.from(wholeBlob(descriptor, body, signal), { objectMode: false });
        const condition = { abortSignal: signal, conditions: { ifNoneMatch: '*' } };
        try {
          await blob.uploadStream(stream, blockSize, blocksAtOnce, condition);
        } catch (error) {
          // Who finishes first takes the blocks of the others away.
          const { code = '' } = failureOf(error);
          const late = /^(BlobAlreadyExists|InvalidBlockList|InvalidBlobOrBlock)$/.test(code);
          if (!late || !(await blob.exists({ abortSignal: signal }))) throw error;
        } finally {
          stream.destroy();
        }
      });
    },

    async fetchBlob(descriptor, store, access) {
      const key = blobKey(descriptor.digest);
      const { signal } = access;
      await downloadBlob(descriptor, store, access, async (offset) => {
        const answer = await ask(key, 'read', access, (blob) =>
          blob.download(offset, undefined, { abortSignal: signal }),
        );
        return received(answer.readableStreamBody as Readable, (error) => asError(error, key, signal));
      });
    },

    async readDocument(name, known, access) {
      return await ask(documentKey(name), 'read', access, async (blob) => {
        const conditions = known === undefined ? undefined : { ifNoneMatch: known };
        try {
          const answer = await blob.download(0, undefined, { abortSignal: access.signal, conditions });
          return {
            bytes: await receivedDocument(answer.readableStreamBody as Readable),
            version: answer.etag,
          };
        } catch (error) {
          const { statusCode } = failureOf(error);
          if (statusCode === 304) return 'unchanged';
          if (statusCode === 404) return undefined;
          throw error;
        }
      });
    },

    async writeDocument(name, { bytes }, access) {
      await ask(documentKey(name), 'write', access, (blob) =>
        blob.upload(bytes as Buffer, bytes.length, { abortSignal: access.signal }),
      );
    },
  };
}

async function create(container: ContainerClient, signal: AbortSignal): Promise<void> {
  await container.createIfNotExists({ abortSignal: signal });
}

/** What errors of the vendor's library have. */
function failureOf(error: unknown): { statusCode?: number; code?: string; message: string } {
  return error instanceof KilnError ? { message: error.message } : (error as { message: string });
}
