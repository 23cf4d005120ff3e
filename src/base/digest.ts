import { createHash, type Hash, hash } from 'node:crypto';
import { KilnError } from './errors.ts';

/** A content digest in the OCI form, `sha256:` and 64 lower-case hex digits. Made only by this file. */
export type Digest = string & { readonly __digest: true };

const form = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: string): text is Digest {
  return form.test(text);
}

/** Throws `invalid_argument` when `text` is not a sha256 digest. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new KilnError(
      'invalid_argument',
      `invalid digest ${JSON.stringify(text)}: want sha256:<64 hex digits>`,
    );
  }
  return text;
}

export function digestOf(data: string | Uint8Array): Digest {
  return `sha256:${hash('sha256', data, 'hex')}` as Digest;
}

/** The digest without its algorithm: 64 hex digits. */
export function digestHex(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

/** A running sha256. `digest()` ends it. */
export class Digester {
  readonly #hash: Hash = createHash('sha256');

  update(data: string | Uint8Array): this {
    this.#hash.update(data);
    return this;
  }

  digest(): Digest {
    return `sha256:${this.#hash.digest('hex')}` as Digest;
  }
}
