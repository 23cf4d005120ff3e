import type { ServiceImpl } from '@connectrpc/connect';
import type { Content } from '../../api/gen/content_pb.js';
import { type Digest, parseDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { BlobInfo, BlobReader } from '../../content/content.ts';

/** How many blobs one message of a listing names. */
const listedAtOnce = 100;

/**
 * containerd's content API over the daemon's blobs, of the cache and of build records, for reading: clients fetch what records
 * point to. Whatever would change the stores is `failed_precondition`. Labels and times are not kept, and filters are ignored.
 */
export function blobService(stores: readonly BlobReader[]): ServiceImpl<typeof Content> {
  const find = async (text: string): Promise<{ readonly info: BlobInfo; readonly store: BlobReader }> => {
    const digest = parseDigest(text);
    for (const store of stores) {
      const info = await store.stat(digest);
      if (info) return { info, store };
    }
    throw new KilnError('not_found', `the daemon has no blob ${digest}`);
  };
  const refuse = async (): Promise<never> => {
    throw readOnly();
  };

  return {
    async info({ digest }) {
      return { info: infoOf((await find(digest)).info) };
    },

    async *list() {
      const blobs = new Map<Digest, BlobInfo>();
      for (const store of stores) for await (const blob of store.list()) blobs.set(blob.digest, blob);
      const infos = [...blobs.values()].map(infoOf);
      for (let at = 0; at < infos.length; at += listedAtOnce) {
        yield { info: infos.slice(at, at + listedAtOnce) };
      }
    },

    async *read(request) {
      const { info, store } = await find(request.digest);
      const { digest, size } = info;
      const offset = Math.max(0, Number(request.offset));
      if (offset > size) throw new KilnError('out_of_range', `blob ${digest} has only ${size} bytes`);
      const length = request.size > 0n ? Math.min(size - offset, Number(request.size)) : size - offset;
      let at = offset;
      for await (const data of store.read(digest, { offset, length })) {
        yield { offset: BigInt(at), data };
        at += data.length;
      }
    },

    async status({ ref }) {
      throw new KilnError('not_found', `nothing is being written as ${ref}`);
    },
    async listStatuses() {
      return {};
    },

    update: refuse,
    delete: refuse,
    abort: refuse,
    // biome-ignore lint/correctness/useYield: a stream that fails at once
    async *write() {
      throw readOnly();
    },
  };
}

function infoOf({ digest, size }: BlobInfo) {
  return { digest, size: BigInt(size) };
}

function readOnly(): KilnError {
  return new KilnError('failed_precondition', "the daemon's blobs can only be read");
}
