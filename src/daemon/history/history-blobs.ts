import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type BuildHistoryRecord,
  type Descriptor as DescriptorMessage,
  DescriptorSchema,
  type StatusResponse,
  StatusResponseSchema,
} from '../../api/gen/control_pb.js';
import { type Status, StatusSchema } from '../../api/gen/rpc_status_pb.js';
import { removeRows } from '../../base/database/remove-rows.ts';
import { type Digest, parseDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { type BlobReader, type ContentStore, writeBlob } from '../../content/content.ts';
import { provenanceRequest } from '../../engine/provenance/provenance-request.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { predicateTypeAnnotation, statementMediaType } from '../../oci/in-toto.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { predicateTypes, provenancePredicate } from '../../provenance/predicate.ts';
import type { ProvenanceAccount } from '../../provenance/provenance-account.ts';
import { traceSpans } from './trace-spans.ts';

/** How many vertices or statuses one message may have: more would take long to write at once. */
const messageLength = 500;
const lengthBytes = 4;

export interface HistoryBlobsOptions {
  readonly database: DatabaseSync;
  /** The blobs of the records, and of nothing else. */
  readonly store: ContentStore;
  /** Where the images of a build are once it has ended. */
  readonly content: BlobReader;
}

/**
 * What the records of builds point to: their logs and errors, and the documents of their images. A blob lives as long as a record
 * has it, whatever becomes of the cache.
 */
export class HistoryBlobs {
  readonly #database: DatabaseSync;
  readonly #store: ContentStore;
  readonly #content: BlobReader;
  readonly #add: StatementSync;
  readonly #ofRef: StatementSync;
  readonly #others: StatementSync;
  readonly #drop: StatementSync;
  readonly #all: StatementSync;

  constructor({ database, store, content }: HistoryBlobsOptions) {
    this.#database = database;
    this.#store = store;
    this.#content = content;
    database.exec(`CREATE TABLE IF NOT EXISTS build_history_blob (
      ref TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (ref, digest)
    ) WITHOUT ROWID`);
    this.#add = database.prepare('INSERT OR IGNORE INTO build_history_blob (ref, digest) VALUES (?, ?)');
    this.#ofRef = database.prepare('SELECT digest FROM build_history_blob WHERE ref = ?');
    this.#others = database.prepare('SELECT 1 FROM build_history_blob WHERE digest = ? AND ref <> ? LIMIT 1');
    this.#drop = database.prepare('DELETE FROM build_history_blob WHERE ref = ?');
    this.#all = database.prepare('SELECT DISTINCT digest FROM build_history_blob');
  }

  /** Removes what a killed process wrote for a record that was never saved. The table of records has to exist. */
  async recover(): Promise<void> {
    removeRows(this.#database, () =>
      this.#database.exec('DELETE FROM build_history_blob WHERE ref NOT IN (SELECT ref FROM build_history)'),
    );
    const known = new Set((this.#all.all() as { digest: string }[]).map(({ digest }) => digest));
    for await (const { digest } of this.#store.list())
      if (!known.has(digest)) await this.#store.delete(digest);
  }

  /** The progress of a build as BuildKit keeps it: messages, each after its length (32 bits, little endian). */
  async putProgress(ref: string, progress: AsyncIterable<StatusResponse>): Promise<DescriptorMessage> {
    await using writer = await this.#store.writer();
    for await (const message of progress) {
      for (const part of inParts(message)) {
        const bytes = toBinary(StatusResponseSchema, part);
        const length = Buffer.alloc(lengthBytes);
        length.writeUInt32LE(bytes.length);
        await writer.write(Buffer.concat([length, bytes]));
      }
    }
    const { digest, size } = await writer.commit();
    this.#add.run(ref, digest);
    return message({ mediaType: 'application/vnd.buildkit.status.v0', digest, size });
  }

  /** Throws `not_found`. */
  async *progress({ digest }: DescriptorMessage): AsyncGenerator<StatusResponse> {
    let left = Buffer.alloc(0);
    for await (const chunk of this.#store.read(parseDigest(digest))) {
      left = Buffer.concat([left, chunk]);
      for (;;) {
        const end = left.length < lengthBytes ? undefined : lengthBytes + left.readUInt32LE();
        if (end === undefined || end > left.length) break;
        yield fromBinary(StatusResponseSchema, left.subarray(lengthBytes, end));
        left = left.subarray(end);
      }
    }
    if (left.length > 0) throw new KilnError('data_loss', `the progress ${digest} ends in a message`);
  }

  /** The build's spans as BuildKit keeps them: JSON documents, one after the other. They are made of the progress, which the record has. */
  async putTrace(record: BuildHistoryRecord): Promise<DescriptorMessage> {
    await using writer = await this.#store.writer();
    for await (const span of traceSpans(record, this.progress(record.logs!))) {
      await writer.write(Buffer.from(`${JSON.stringify(span)}\n`, 'utf8'));
    }
    const { digest, size } = await writer.commit();
    this.#add.run(record.ref, digest);
    return message({ mediaType: 'application/vnd.buildkit.otlp.json.v0', digest, size });
  }

  async putError(ref: string, status: Status): Promise<DescriptorMessage> {
    const { digest, size } = await this.#put(ref, toBinary(StatusSchema, status));
    return message({ mediaType: 'application/vnd.googeapis.google.rpc.status+proto', digest, size });
  }

  /** All that is known of how a result was made. */
  async putProvenance(
    ref: string,
    account: ProvenanceAccount,
    frontendAttrs: Readonly<Record<string, string>>,
  ): Promise<DescriptorMessage> {
    const options = { version: 'v1', mode: 'max', reproducible: false } as const;
    const builderId = provenanceRequest(frontendAttrs)?.builderId ?? '';
    const predicate = await provenancePredicate(account, { ...options, builderId });
    const { digest, size } = await this.#put(ref, predicate);
    const annotations = { [predicateTypeAnnotation]: predicateTypes[options.version] };
    return message({ mediaType: statementMediaType, digest, size, annotations });
  }

  /** An image's manifests and configs; not its layers. */
  async putImage(ref: string, root: Descriptor): Promise<DescriptorMessage> {
    const bytes = await this.#content.readAll(root.digest);
    await this.#put(ref, bytes);
    const document = parseManifest(bytes, root.digest, root.mediaType);
    if (document.kind === 'index') for (const each of document.manifests) await this.putImage(ref, each);
    else await this.#put(ref, await this.#content.readAll(document.config.digest));
    return message(root);
  }

  /** Removes the blobs of a record that is gone, or that `alongside` deletes in the same transaction. */
  async drop(ref: string, alongside: () => void = () => {}): Promise<void> {
    const digests = (this.#ofRef.all(ref) as { digest: Digest }[]).map(({ digest }) => digest);
    const own = digests.filter((digest) => this.#others.get(digest, ref) === undefined);
    removeRows(this.#database, () => {
      alongside();
      this.#drop.run(ref);
    });
    for (const digest of own) await this.#store.delete(digest);
  }

  async #put(ref: string, bytes: Uint8Array) {
    const info = await writeBlob(this.#store, bytes);
    this.#add.run(ref, info.digest);
    return info;
  }
}

function message({ mediaType, digest, size, annotations }: Descriptor): DescriptorMessage {
  return create(DescriptorSchema, { mediaType, digest, size: BigInt(size), annotations: { ...annotations } });
}

function* inParts(status: StatusResponse): Generator<StatusResponse> {
  const { vertexes, statuses, ...rest } = status;
  let from = 0;
  do {
    const to = from + messageLength;
    const part = { vertexes: vertexes.slice(from, to), statuses: statuses.slice(from, to) };
    yield create(StatusResponseSchema, from === 0 ? { ...rest, ...part } : part);
    from = to;
  } while (from < Math.max(vertexes.length, statuses.length));
}
