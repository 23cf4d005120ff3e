import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Digest, digestOf } from '../../base/digest.ts';
import { silentProgress } from '../../base/progress.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { SourceContext } from '../source.ts';
import { resolveAttestationChain } from './attestation-chain.ts';
import type { ImageOrigin } from './image-origin.ts';

const context: SourceContext = {
  signal: new AbortController().signal,
  progress: silentProgress,
  sessions: () => [],
  retain() {},
};
const provenance = 'https://slsa.dev/provenance/v1';
const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const cosignType = 'application/vnd.dev.cosign.artifact.sig.v1+json';

/** An image in memory: blobs, and what refers to them. */
class MemoryImage {
  readonly blobs = new Map<string, Uint8Array>();
  readonly referrers = new Map<string, Descriptor[]>();

  add(content: unknown, extra: Partial<Descriptor> = {}): Descriptor {
    const bytes = Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
    const digest = digestOf(bytes);
    this.blobs.set(digest, bytes);
    return { mediaType: 'application/octet-stream', digest, size: bytes.length, ...extra };
  }

  manifest(layers: readonly Descriptor[], extra: Partial<Descriptor> = {}): Descriptor {
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    return this.add({ mediaType, config: this.add('{}'), layers }, { mediaType, ...extra });
  }

  index(manifests: readonly Descriptor[]): Descriptor {
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    return this.add({ mediaType, manifests }, { mediaType });
  }

  refer(subject: Digest, ...referrers: Descriptor[]): void {
    this.referrers.set(subject, referrers);
  }

  get origin(): ImageOrigin {
    return {
      name: 'memory',
      layerAnnotations: {},
      resolve: async () => assert.fail('nobody asks for the root'),
      layer: async () => assert.fail('nobody asks for layers'),
      document: async ({ digest }) => this.blobs.get(digest)!,
      referrers: async (subject) => this.referrers.get(subject) ?? [],
    };
  }
}

const attests = (digest: Digest): Partial<Descriptor> => ({
  annotations: {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': digest,
  },
});

const statementOf = (image: MemoryImage, type: string) =>
  image.add({ predicateType: type }, { annotations: { 'in-toto.io/predicate-type': type } });

const resolve = (
  image: MemoryImage,
  root: Descriptor,
  manifest: Descriptor,
  ...predicateTypes: readonly string[]
) => resolveAttestationChain(image.origin, { root, manifest }, { predicateTypes }, context);

describe('the attestation chain of an image', () => {
  test('has what its index names, the wanted statements, and the signature', async () => {
    const image = new MemoryImage();
    const manifest = image.manifest([]);
    const [wanted, other] = [statementOf(image, provenance), statementOf(image, 'other')];
    const attestation = image.manifest([other, wanted], attests(manifest.digest));
    const bundle = image.add({ signature: true });
    const signed = image.manifest([bundle], { artifactType: bundleType });
    image.refer(
      attestation.digest,
      image.manifest([image.add({ old: true })], { artifactType: cosignType }),
      signed,
    );
    const root = image.index([manifest, attestation]);
    const chain = await resolve(image, root, manifest, provenance);
    assert.deepEqual(
      { ...chain, blobs: [...chain!.blobs.keys()] },
      {
        root: root.digest,
        imageManifest: manifest.digest,
        attestationManifest: attestation.digest,
        signatureManifests: [signed.digest],
        blobs: [root, attestation, signed, bundle, wanted].map(({ digest }) => digest),
      },
    );
    assert.deepEqual(chain!.blobs.get(wanted.digest), {
      mediaType: wanted.mediaType,
      annotations: wanted.annotations,
      data: image.blobs.get(wanted.digest),
    });
  });

  test('has a manifest that refers to the image where the index names none', async () => {
    const image = new MemoryImage();
    const manifest = image.manifest([]);
    const annotations = { 'in-toto.io/predicate-type': provenance };
    const artifactType = 'application/vnd.in-toto+json';
    const attestation = image.manifest([statementOf(image, provenance)], { artifactType, annotations });
    image.refer(manifest.digest, image.manifest([], { artifactType: 'other' }), attestation);
    const chain = await resolve(image, image.index([manifest]), manifest);
    assert.equal(chain?.attestationManifest, attestation.digest);
    assert.equal(chain?.blobs.size, 2);
  });

  test('ends where nothing is attested, and is none without an index', async () => {
    const image = new MemoryImage();
    const manifest = image.manifest([]);
    const root = image.index([manifest]);
    const chain = await resolve(image, root, manifest, provenance);
    assert.equal(chain?.attestationManifest, undefined);
    assert.deepEqual([...chain!.blobs.keys()], [root.digest]);
    assert.equal(await resolve(image, manifest, manifest), undefined);
  });

  test('is refused when it names what is no attestation, or too much', async () => {
    const image = new MemoryImage();
    const manifest = image.manifest([]);
    const annotations = { 'in-toto.io/predicate-type': provenance };
    const refused = async (layers: readonly Descriptor[], code: string) => {
      const root = image.index([manifest, image.manifest(layers, attests(manifest.digest))]);
      await assert.rejects(resolve(image, root, manifest, provenance), { code });
    };
    await refused([image.add('the layer of somebody else', { annotations })], 'invalid_argument');
    await refused([image.add('{}', { annotations, size: 41 * 1024 * 1024 })], 'out_of_range');
    const many = Array.from({ length: 101 }, (_, at) => image.add({ at }, { annotations }));
    await refused(many, 'out_of_range');
  });
});
