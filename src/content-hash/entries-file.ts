import { type Digest, digestHex, isDigest } from '../base/digest.ts';

const suffix = '.zst';

/** Returns the name of the file that keeps, compressed, what tells of the entries of the digest. */
export function entriesFile(digest: Digest): string {
  return digestHex(digest) + suffix;
}

/** Returns the digest that a file of this name belongs to, or undefined for the name of another file. */
export function digestOfEntriesFile(name: string): Digest | undefined {
  const digest = `sha256:${name.slice(0, -suffix.length)}`;
  return name.endsWith(suffix) && isDigest(digest) ? digest : undefined;
}
