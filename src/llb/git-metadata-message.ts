import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ResolveSourceGitResponse, ResolveSourceGitResponseSchema } from '../api/gen/gateway_pb.js';

/** What a ref of a git repository names now. */
export interface GitMetadata {
  /** The ref's full name, or the commit if it was named so. */
  readonly ref: string;
  /** What the ref points to: a commit or an annotated tag. */
  readonly object: string;
  /** The commit, if `object` is known to be the tag of one. */
  readonly commit: string | undefined;
  /** As git keeps them, when they were wanted. */
  readonly commitObject: Uint8Array | undefined;
  readonly tagObject: Uint8Array | undefined;
}

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
