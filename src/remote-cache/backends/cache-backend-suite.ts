import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { type Descriptor, mediaTypes } from '../../oci/descriptor.ts';
import { encodeManifest } from '../../oci/manifest.ts';
import type { BlobBody } from '../../registry/registry.ts';
import type {
  CacheAccess,
  CacheBackend,
  CacheDocument,
  CachePurpose,
  WrittenDocument,
} from '../cache-backend.ts';
import { cacheConfigType } from '../config/cache-config.ts';

/** An empty place to test. */
export interface CacheBackendFixture extends AsyncDisposable {
  /** Opens the place for one build; each call as a build of its own would. `written`: the document that was written last. */
  open(purpose: CachePurpose, written: WrittenDocument | undefined): CacheBackend;
  readonly sessions: readonly string[];
}

/** Tests what every backend does; the test file of each runs it. */
export function cacheBackendSuite(name: string, start: () => Promise<CacheBackendFixture>): void {
  const it = (title: string, body: (subject: Subject) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      await using fixture = await start();
      await body(new Subject(fixture));
    });

  it('a blob comes back whole, to whoever opens the place', async (subject) => {
    for (const size of [0, 1, 70_000, 9_000_000]) {
      const data = randomBytes(size);
      await subject.write(data);
      const seen: number[] = [];
      assert.ok((await subject.fetch(data, (bytes) => seen.push(bytes))).equals(data));
      assert.deepEqual(
        seen.toSorted((a, b) => a - b),
        seen,
      );
      assert.equal(seen.at(-1) ?? 0, size);
    }
  });

  it('a blob that is there is not read again to be written', async (subject) => {
    const data = randomBytes(10_000);
    assert.equal(await subject.write(data), 'read');
    assert.equal(await subject.write(data), 'not read');
  });

  it('a blob that is not there is not found', async (subject) => {
    const data = randomBytes(10);
    await assert.rejects(
      subject.fetch(data),
      (error) => error instanceof KilnError && error.code === 'not_found',
    );
    for (const purpose of ['export', 'import'] as const) {
      assert.equal(await subject.open(purpose).hasBlob(descriptorOf(data), subject.access()), false);
    }
    await subject.write(data);
    assert.equal(await subject.open('import').hasBlob(descriptorOf(data), subject.access()), true);
  });

  it('several builds write the same blob at a time', async (subject) => {
    const data = randomBytes(300_000);
    await Promise.all([1, 2, 3, 4].map(() => subject.write(data)));
    assert.ok((await subject.fetch(data)).equals(data));
  });

  it('a blob whose reading breaks off is not there', async (subject) => {
    const data = randomBytes(200_000);
    async function* broken() {
      yield data.subarray(0, 100_000);
      throw new KilnError('data_loss', 'the layer is gone');
    }
    const backend = subject.open('export');
    await assert.rejects(
      backend.writeBlob(descriptorOf(data), { open: async () => broken() }, subject.access()),
      /the layer is gone/,
    );
    await assert.rejects(subject.fetch(data));
    await subject.write(data);
    assert.ok((await subject.fetch(data)).equals(data));
  });

  it('a document comes back, and says when it has not changed', async (subject) => {
    assert.equal(await subject.readDocument(), undefined);
    const first = await subject.writeDocument('first');
    const read = await subject.readDocument();
    assert.ok(read && read !== 'unchanged');
    assert.deepEqual(Buffer.from(read.bytes), Buffer.from(first));
    if (read.version !== undefined) assert.equal(await subject.readDocument(read.version), 'unchanged');
    const second = await subject.writeDocument('second');
    const again = await subject.readDocument(read.version);
    assert.ok(again && again !== 'unchanged');
    assert.deepEqual(Buffer.from(again.bytes), Buffer.from(second));
  });

  it('requests that are given up end', async (subject) => {
    const access = { ...subject.access(), signal: AbortSignal.abort() };
    const data = randomBytes(1000);
    const backend = subject.open('export');
    await assert.rejects(backend.writeBlob(descriptorOf(data), bodyOf(data), access));
    await assert.rejects(backend.writeDocument(backend.names[0]!, configDocument('given up'), access));
    const reader = subject.open('import');
    await assert.rejects(reader.hasBlob(descriptorOf(data), access));
    await assert.rejects(reader.readDocument(reader.names[0]!, undefined, access));
    assert.equal(await subject.readDocument(), undefined);
  });
}

/** The place under test, as exports and imports use it. */
class Subject {
  readonly #fixture: CacheBackendFixture;
  #written: WrittenDocument | undefined;

  constructor(fixture: CacheBackendFixture) {
    this.#fixture = fixture;
  }

  open(purpose: CachePurpose): CacheBackend {
    return this.#fixture.open(purpose, this.#written);
  }

  access(): CacheAccess {
    return { signal: AbortSignal.timeout(30_000), sessions: this.#fixture.sessions };
  }

  /** Has the place keep a blob; tells whether its bytes were read for that. */
  async write(data: Uint8Array): Promise<'read' | 'not read'> {
    const backend = this.open('export');
    const blob = descriptorOf(data);
    if (await backend.hasBlob(blob, this.access())) return 'not read';
    let outcome: 'read' | 'not read' = 'not read';
    const body: BlobBody = {
      open: async (signal) => {
        outcome = 'read';
        return await bodyOf(data).open(signal);
      },
    };
    await backend.writeBlob(blob, body, this.access());
    return outcome;
  }

  /** The blob of these bytes, as a machine that has nothing gets it. */
  async fetch(data: Uint8Array, onProgress?: (bytes: number) => void): Promise<Buffer> {
    const directory = await mkdtemp(path.join(tmpdir(), 'kiln-cache-blobs-'));
    try {
      const store = await openLocalContentStore(directory);
      const blob = descriptorOf(data);
      await this.open('import').fetchBlob(blob, store, { ...this.access(), onProgress });
      return Buffer.from(await store.readAll(blob.digest));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  async readDocument(known?: string): Promise<CacheDocument | 'unchanged' | undefined> {
    const backend = this.open('import');
    return await backend.readDocument(backend.names[0]!, known, this.access());
  }

  /** Writes a document that holds `text`, and what it names. */
  async writeDocument(text: string): Promise<Uint8Array> {
    const backend = this.open('export');
    const config = configDocument(text);
    const document = backend.form === 'config' ? config : manifestOf(config);
    if (backend.form === 'manifest') await this.write(config.bytes);
    for (const name of backend.names) await backend.writeDocument(name, document, this.access());
    this.#written = document;
    return document.bytes;
  }
}

function descriptorOf(data: Uint8Array): Descriptor {
  return { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(data), size: data.length };
}

function bodyOf(data: Uint8Array): BlobBody {
  async function* chunks() {
    for (let at = 0; at < data.length; at += 100_000) yield data.subarray(at, at + 100_000);
  }
  return { open: async () => chunks() };
}

function configDocument(text: string): WrittenDocument {
  const bytes = Buffer.from(JSON.stringify({ text }));
  return { descriptor: { ...descriptorOf(bytes), mediaType: cacheConfigType }, bytes };
}

function manifestOf({ descriptor }: WrittenDocument): WrittenDocument {
  const mediaType = mediaTypes.ociManifest;
  const bytes = encodeManifest({ kind: 'manifest', mediaType, config: descriptor, layers: [] });
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length }, bytes };
}
