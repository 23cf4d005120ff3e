import type { ServiceImpl } from '@connectrpc/connect';
import type { Content } from '../api/gen/content_pb.js';
import { parseDigest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { BlobInfo, ContentStore } from '../content/content.ts';

/** Blobs named in one message of a listing. */
const listedAtOnce = 100;

/**
 * containerd's content API over the daemon's blobs, for reading: clients fetch what build records point to. Whatever would
 * change the store is `failed_precondition`. Labels and times are not kept, and filters are ignored.
 */
export function blobService(
  content: Pick<ContentStore, 'stat' | 'read' | 'list'>,
): ServiceImpl<typeof Content> {
  const stat = async (text: string): Promise<BlobInfo> => {
    const digest = parseDigest(text);
    const info = await content.stat(digest);
    if (!info) throw new KilnError('not_found', `the daemon has no blob ${digest}`);
    return info;
  };
  const refuse = async (): Promise<never> => {
    throw readOnly();
  };

  return {
    async info({ digest }) {
      return { info: infoOf(await stat(digest)) };
    },

    async *list() {
      let infos: ReturnType<typeof infoOf>[] = [];
      for await (const blob of content.list()) {
        infos.push(infoOf(blob));
        if (infos.length < listedAtOnce) continue;
        yield { info: infos };
        infos = [];
      }
      if (infos.length > 0) yield { info: infos };
    },

    async *read(request) {
      const { digest, size } = await stat(request.digest);
      const offset = Math.max(0, Number(request.offset));
      if (offset > size) throw new KilnError('out_of_range', `blob ${digest} has only ${size} bytes`);
      const length = request.size > 0n ? Math.min(size - offset, Number(request.size)) : size - offset;
      let at = offset;
      for await (const data of content.read(digest, { offset, length })) {
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
