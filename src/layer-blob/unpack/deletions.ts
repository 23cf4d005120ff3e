import type { ByteString } from '../../base/text/byte-string.ts';
import type { FoundEntry } from '../../tree/tree.ts';

/** What becomes of a layer's deletions where it is unpacked. Paths are those of the tree that is made; no link leads through them. */
export interface Deletions {
  /** The layer makes an entry at the path, or has it on the way to one. */
  brought(path: ByteString): void;
  /** What the layers below have at the path is gone. */
  hide(path: ByteString): void;
  /** Nothing that the layers below have in the directory is there any more. */
  hideAll(directory: ByteString): void;
  /** Whether what was found stands for a deletion. */
  isDeletion(found: FoundEntry): boolean;
  /** A directory was made in the place of a deletion. */
  undeleted(directory: ByteString): void;
  /** Whether what the layers below have in the directory shows through, as far as the layer says something of it. */
  showsBelow(directory: ByteString): boolean;
}
