import type { Digest } from '../base/digest.ts';

const separator = '\0';
/** Before digests that are combined in the order of use. */
const ownHead = 'kiln in order of use\0';

/** Returns what is hashed for one digest of several checksums: BuildKit's list of them, or one that no list of BuildKit's can be. */
export function combinedContent(digests: readonly Digest[], isInOrderOfUse: boolean): Buffer {
  return Buffer.from((isInOrderOfUse ? ownHead : '') + digests.join(separator));
}

/** Returns the checksums, or undefined for what tells of a single checksum's entries. */
export function combinedDigests(kept: Uint8Array): readonly Digest[] | undefined {
  const text = Buffer.from(kept.buffer, kept.byteOffset, kept.byteLength);
  const start = text.toString('latin1', 0, ownHead.length) === ownHead ? ownHead.length : 0;
  if (text.toString('latin1', start, start + algorithm.length) !== algorithm) return undefined;
  return text.toString('latin1', start).split(separator) as Digest[];
}

const algorithm = 'sha256:';
