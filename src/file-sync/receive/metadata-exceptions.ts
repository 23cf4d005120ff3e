import { PatternMatcher } from '../../base/pattern/pattern.ts';
import { type ByteString, fromByteString } from '../../base/text/byte-string.ts';
import { PacketEncoder } from '../protocol/packet.ts';
import type { Announced } from './tree-difference.ts';

/** The file that is left in the tree when only metadata was asked for. */
export const metadataFile = '.fsutil-metadata';

/** Chooses what becomes part of a tree of which only the metadata was asked for, and keeps the stats of everything that is announced. */
export class MetadataExceptions {
  readonly #patterns: PatternMatcher;
  readonly #encoder = new PacketEncoder();
  readonly #stats: Uint8Array[] = [];
  /** The directories above the last stat that are not part of the tree yet. They come before the first entry in them that is. */
  #parents: Announced[] = [];

  /** `patterns`: what becomes part of the tree. Throws `invalid_argument` for a malformed one. */
  constructor(patterns: readonly string[]) {
    this.#patterns = new PatternMatcher(patterns);
  }

  /** Takes the next entry of a walk. Returns what becomes part of the tree because of it. */
  announce(announced: Announced): readonly Announced[] {
    const { path, kind } = announced.entry;
    const encoded = this.#encoder.stat({ ...announced.stat, changeStamp: undefined });
    const size = Buffer.allocUnsafe(4);
    size.writeUInt32LE(encoded.length);
    this.#stats.push(size, encoded);
    // Each lies in the one before it.
    while (this.#parents.length > 0 && !path.startsWith(`${this.#parents.at(-1)!.entry.path}/`))
      this.#parents.pop();
    if (this.#patterns.matches(fromByteString(path))) {
      const chosen = [...this.#parents, announced];
      this.#parents = [];
      return chosen;
    }
    if (kind === 'directory') this.#parents.push(announced);
    return [];
  }

  /** Each stat with its length (four bytes, little end first) before it. */
  get file(): { readonly path: ByteString; readonly data: Uint8Array } {
    return { path: metadataFile, data: Buffer.concat(this.#stats) };
  }
}
