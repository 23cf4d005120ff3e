import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ResolveSourceGitResponse, ResolveSourceGitResponseSchema } from '../../api/gen/gateway_pb.js';
import type { GitMetadata } from '../source-metadata.ts';

export function gitMetadataFromMessage(message: ResolveSourceGitResponse): GitMetadata {
  const { ref, checksum, commitChecksum, commitObject, tagObject } = message;
  const known = (bytes: Uint8Array) => (bytes.length > 0 ? bytes : undefined);
  return {
    ref,
    object: checksum,
    commit: commitChecksum || undefined,
    commitObject: known(commitObject),
    tagObject: known(tagObject),
  };
}

export function gitMetadataToMessage(
  metadata: GitMetadata,
): MessageInitShape<typeof ResolveSourceGitResponseSchema> {
  const { ref, object, commit, commitObject, tagObject } = metadata;
  return {
    ref,
    checksum: object,
    commitChecksum: commit,
    commitObject: commitObject && Uint8Array.from(commitObject),
    tagObject: tagObject && Uint8Array.from(tagObject),
  };
}
