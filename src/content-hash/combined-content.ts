import type { Digest } from '../base/digest.ts';

const head = 'kiln.content\n';

/** Returns what is hashed for a digest of several content checksums: a line that the content of no checksum begins with, then a list. */
export function combinedContent(digests: readonly Digest[]): Uint8Array {
  return Buffer.from(head + JSON.stringify(digests));
}

/** Returns the checksums, or undefined for what a single checksum hashed. */
export function combinedDigests(hashed: Uint8Array): readonly Digest[] | undefined {
  const text = Buffer.from(hashed.buffer, hashed.byteOffset, hashed.byteLength);
  return text.toString('latin1', 0, head.length) === head
    ? (JSON.parse(text.toString('utf8', head.length)) as readonly Digest[])
    : undefined;
}
