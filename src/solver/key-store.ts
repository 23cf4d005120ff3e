import type { Digest } from '../base/digest.ts';

/** An id in the key store: one for each distinct way content is known. Opaque to stores; made by `cache-key.ts`. */
export type KeyId = string & { readonly __key: true };

/**
 * A step from keys to a key: "operation `operation` (output `output`) over an input known as `from`, at input
 * position `input` with `selector`, is known as the target". A key with several inputs is found where the links
 * of all its inputs meet.
 */
export interface KeyLink {
  readonly from: KeyId;
  readonly operation: Digest;
  readonly output: number;
  readonly input: number;
  readonly selector: Digest | undefined;
}

/** A way to a key, whose operation is known. */
export type WayToKey = Pick<KeyLink, 'from' | 'input' | 'selector'>;

/** A result that a key leads to. */
export interface KeyResult {
  readonly id: string;
  readonly createdAt: Date;
}

/** What a look-up needs: the reading half of a key store, and all that an imported cache has. */
export interface KeySource {
  /** For each link, in order, all its targets. */
  targets(links: readonly KeyLink[]): Promise<readonly (readonly KeyId[])[]>;
  /** The results that any of the keys has, newest first, each once. */
  results(keys: readonly KeyId[]): Promise<readonly KeyResult[]>;
  /** How the keys of records (`recordOfKey`), of content above all, lead to a key: all ways, or as many as a store cares to read at once. */
  waysFromRecords(key: KeyId): Promise<readonly WayToKey[]>;
}

/** Links and results to add; what is there already stays as it is. */
export interface KeyChange {
  readonly links?: readonly (KeyLink & { readonly to: KeyId })[];
  readonly results?: readonly { readonly key: KeyId; readonly result: KeyResult }[];
}

/**
 * Where cache keys live. Look-ups are asynchronous: a store may be remote. The one in `key-store/` keeps
 * them in SQLite; its test suite can test any other, too.
 */
export interface KeyStore extends KeySource {
  /**
   * Adds all of `change`; when it fails, no result of it, though links that lead to none may stay. Visible to every
   * look-up that starts after it.
   */
  commit(change: KeyChange): Promise<void>;
  /** Forgets a result everywhere, and the links that no longer lead to any. */
  dropResult(id: string): Promise<void>;
  /** Every result id known, to find those whose files are gone. */
  resultIds(): AsyncIterable<string>;
}
