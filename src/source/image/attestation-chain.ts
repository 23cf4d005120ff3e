import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { AttestationChain, AttestationQuestion, ChainBlob } from '../../llb/source-metadata.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { isProvenanceType, predicateTypeAnnotation, statementMediaType } from '../../oci/in-toto.ts';
import { attestedDigest, type Index, type Manifest, parseManifest } from '../../oci/manifest.ts';
import type { SourceContext } from '../source.ts';
import type { ImageOrigin } from './image-origin.ts';
import type { LoadedImage } from './load-image.ts';

/** Signatures of an attestation manifest, the form that is preferred first. */
const signatureTypes: readonly string[] = [
  'application/vnd.dev.sigstore.bundle.v0.3+json',
  'application/vnd.dev.cosign.artifact.sig.v1+json',
];

/** What one blob, and all blobs of a chain, may take in memory; and how many may be asked for. */
const maxBlob = 40 * 1024 * 1024;
const maxChain = 64 * 1024 * 1024;
const maxBlobs = 100;

/**
 * What is attested about an image: the manifest of attestations that its index names, or that refers to it, the signature of that
 * manifest, and the statements that the question is about. Undefined for an image without an index. Throws
 * `out_of_range` for a chain that is too large.
 */
export async function resolveAttestationChain(
  origin: ImageOrigin,
  { root, manifest }: Pick<LoadedImage, 'root' | 'manifest'>,
  { predicateTypes }: AttestationQuestion,
  context: SourceContext,
): Promise<AttestationChain | undefined> {
  const chain = new ChainReader(origin, context);
  const index = await chain.manifest(root);
  if (index.kind !== 'index') return undefined;
  const attestation =
    index.manifests.find((entry) => attestedDigest(entry) === manifest.digest) ??
    (await referringAttestation(origin, manifest.digest, context));
  const signatures: Digest[] = [];
  if (attestation) {
    const signature = await signatureOf(origin, attestation.digest, context);
    const statements = layersOf(await chain.manifest(attestation)).filter(({ annotations }) =>
      predicateTypes.includes(annotations?.[predicateTypeAnnotation] ?? ''),
    );
    if (signature) {
      signatures.push(signature.digest);
      for (const layer of layersOf(await chain.manifest(signature))) await chain.read(layer);
    }
    for (const statement of statements) await chain.read(statement);
  }
  return {
    root: root.digest,
    imageManifest: manifest.digest,
    attestationManifest: attestation?.digest,
    signatureManifests: signatures,
    blobs: chain.blobs,
  };
}

/** Statements that some publishers attach to images by themselves, each as a manifest that refers to the image. */
async function referringAttestation(
  origin: ImageOrigin,
  image: Digest,
  context: SourceContext,
): Promise<Descriptor | undefined> {
  const referrers = (await origin.referrers?.(image, context)) ?? [];
  return referrers.find(
    ({ artifactType, annotations }) =>
      artifactType === statementMediaType && isProvenanceType(annotations?.[predicateTypeAnnotation] ?? ''),
  );
}

async function signatureOf(
  origin: ImageOrigin,
  attestation: Digest,
  context: SourceContext,
): Promise<Descriptor | undefined> {
  const referrers = (await origin.referrers?.(attestation, context)) ?? [];
  const found = signatureTypes.map((type) => referrers.find(({ artifactType }) => artifactType === type));
  return found.find((signature) => signature !== undefined);
}

function layersOf(manifest: Manifest | Index): readonly Descriptor[] {
  return manifest.kind === 'manifest' ? manifest.layers : [];
}

/** Reads blobs of an image, and keeps them. */
class ChainReader {
  readonly #origin: ImageOrigin;
  readonly #context: SourceContext;
  readonly #blobs = new Map<Digest, ChainBlob>();
  #size = 0;

  constructor(origin: ImageOrigin, context: SourceContext) {
    this.#origin = origin;
    this.#context = context;
  }

  get blobs(): ReadonlyMap<Digest, ChainBlob> {
    return this.#blobs;
  }

  async manifest(descriptor: Descriptor): Promise<Manifest | Index> {
    const data = await this.#bytes(descriptor);
    return parseManifest(data, `${this.#origin.name}: ${descriptor.digest}`, descriptor.mediaType);
  }

  /** Brings a statement or a signature. These are JSON: whatever else a manifest may name is not given away. */
  async read(descriptor: Descriptor): Promise<void> {
    const data = await this.#bytes(descriptor);
    try {
      JSON.parse(Buffer.from(data).toString('utf8'));
    } catch (cause) {
      const what = `${this.#origin.name}: attestation ${descriptor.digest}`;
      throw new KilnError('invalid_argument', `${what} is not JSON`, { cause });
    }
  }

  async #bytes(descriptor: Descriptor): Promise<Uint8Array> {
    const { digest, size, mediaType, annotations = {} } = descriptor;
    const known = this.#blobs.get(digest);
    if (known) return known.data;
    this.#size += size;
    if (size > maxBlob || this.#size > maxChain || this.#blobs.size >= maxBlobs) {
      throw new KilnError(
        'out_of_range',
        `${this.#origin.name}: its attestations are too many or too large: ${digest} has ${size} bytes`,
      );
    }
    const data = await this.#origin.document(descriptor, this.#context);
    this.#blobs.set(digest, { mediaType, annotations, data });
    return data;
  }
}
