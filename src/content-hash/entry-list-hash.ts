import { type Digest, Digester } from '../base/digest.ts';
import type { ByteString } from '../base/text/byte-string.ts';

const flushSize = 1 << 16;

/** Hashes a list of entries as BuildKit's cache does: of each a zero byte, its path with zero bytes for slashes, and its digest. */
export class EntryListHash {
  readonly #digester = new Digester();
  #pending: ByteString = '';

  /** `path`: relative to where the list begins; empty for that itself. */
  add(path: ByteString, digest: Digest): void {
    this.#pending += `\0${path.replaceAll('/', '\0')}${digest}`;
    if (this.#pending.length >= flushSize) this.#flush();
  }

  /** Nothing can be added afterwards. */
  digest(): Digest {
    this.#flush();
    return this.#digester.digest();
  }

  #flush(): void {
    this.#digester.update(Buffer.from(this.#pending, 'latin1'));
    this.#pending = '';
  }
}
