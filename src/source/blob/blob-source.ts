import { type Digest, digestHex, digestOf } from '../../base/digest.ts';
import { goJson } from '../../base/json/go-json.ts';
import { toByteString } from '../../base/text/byte-string.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { ImmutableRef, RecordType } from '../../ref/ref.ts';
import type { RefFactory } from '../../ref/ref-store.ts';
import { type FileAttributes, parseFileAttributes } from '../file-attributes.ts';
import { safeName } from '../http/download-name.ts';
import { parseRecordType } from '../image/image-instance.ts';
import { NewTree } from '../new-tree.ts';
import type { Source, SourceContext, SourceInstance, SourceKey } from '../source.ts';
import { sourceDigest } from '../source-digest.ts';
import type { BlobFetcher } from './blob-fetcher.ts';
import { type BlobPlace, layoutBlobScheme, parseBlobPlace, registryBlobScheme } from './blob-place.ts';

export interface BlobSourceOptions {
  readonly blobs: BlobFetcher;
  readonly refStore: RefFactory;
}

/**
 * `docker-image+blob://` and `oci-layout+blob://`: a tree with one file, a blob of a registry's repository or of an OCI layout that the
 * client has, as it is. The file has the attributes that downloads have.
 */
export function createBlobSource(options: BlobSourceOptions): Source {
  return {
    schemes: [registryBlobScheme, layoutBlobScheme],
    contentOnly: false,
    open: (op) => new BlobInstance(op, options),
  };
}

class BlobInstance implements SourceInstance {
  readonly #place: BlobPlace;
  readonly #file: FileAttributes;
  readonly #recordType: RecordType;
  readonly #options: BlobSourceOptions;

  constructor(op: SourceOp, options: BlobSourceOptions) {
    this.#place = blobPlaceOf(op);
    const file = parseFileAttributes(op);
    this.#file = { ...file, filename: file.filename === undefined ? undefined : safeName(file.filename) };
    this.#recordType = parseRecordType(op.attrs['image.recordtype']);
    this.#options = options;
  }

  async key(context: SourceContext): Promise<SourceKey> {
    await this.#options.blobs.find(this.#place, context);
    return { digest: blobCacheDigest(this.#place.digest, this.#file), pin: this.#place.digest };
  }

  async snapshot(context: SourceContext): Promise<ImmutableRef> {
    const { blobs, refStore } = this.#options;
    const { identifier, digest } = this.#place;
    const { filename = digestHex(digest), mode, uid, gid } = this.#file;
    await blobs.bring(this.#place, context);
    await using tree = new NewTree(refStore, { type: this.#recordType, description: `blob ${identifier}` });
    using maker = await tree.makeTree();
    const times = { access: 0n, modification: 0n };
    const file = maker.addFile(toByteString(filename), { owner: { uid, gid }, mode, times });
    await file.writeAll(blobs.read(this.#place), context.signal);
    file.finish();
    maker.finish();
    return await tree.commit();
  }
}

/** The blob that a source names. Throws `invalid_argument`. */
export function blobPlaceOf({ identifier, attrs }: SourceOp): BlobPlace {
  return parseBlobPlace(identifier, { sessionId: attrs['oci.session'], storeId: attrs['oci.store'] });
}

/** The digest by which BuildKit's cache knows a blob as a file. */
function blobCacheDigest(digest: Digest, { filename = '', perm, uid, gid }: FileAttributes): Digest {
  const named = { Digest: digest, Filename: filename, Perm: perm, UID: uid, GID: gid };
  return sourceDigest(digestOf(goJson(named)));
}
