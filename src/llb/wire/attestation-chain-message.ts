import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AttestationChainSchema, ResolveSourceImageRequest } from '../../api/gen/gateway_pb.js';
import type { AttestationChain, AttestationQuestion } from '../source-metadata.ts';

/** What a client wants to know of an image's attestations; undefined for nothing. */
export function attestationQuestionOf(
  message: ResolveSourceImageRequest | undefined,
): AttestationQuestion | undefined {
  if (!message) return undefined;
  const { attestationChain, resolveAttestations } = message;
  if (!attestationChain && resolveAttestations.length === 0) return undefined;
  return { predicateTypes: resolveAttestations.filter((type) => type !== '') };
}

export function attestationChainToMessage(
  chain: AttestationChain,
): MessageInitShape<typeof AttestationChainSchema> {
  const { root, imageManifest, attestationManifest, signatureManifests, blobs } = chain;
  return {
    root,
    imageManifest,
    attestationManifest,
    signatureManifests: [...signatureManifests],
    blobs: Object.fromEntries(
      [...blobs].map(([digest, { mediaType, annotations, data }]) => [
        digest,
        {
          descriptor: { mediaType, digest, size: BigInt(data.length), annotations: { ...annotations } },
          data: Uint8Array.from(data),
        },
      ]),
    ),
  };
}
