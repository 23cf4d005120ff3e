import type { Digest } from '../base/digest.ts';

/** An id in the key store: one for each distinct way content is known. */
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

/** A result that a key leads to. */
export interface KeyResult {
  readonly id: string;
  readonly createdAt: Date;
}

/**
 * Where cache keys live. Look-ups are asynchronous: a store may be remote. Writes of one `commit` are one
 * transaction. Implementations: memory and SQLite in `key-store/`, all under one test suite.
 */
export interface KeyStore {
  /** Keys without inputs: sources and content digests. The id is a pure function of its arguments; nothing is written. */
  rootKey(operation: Digest, output: number): KeyId;
  /** All targets of a link. */
  targets(link: KeyLink): Promise<readonly KeyId[]>;
  /** Results of a key, newest first. */
  results(key: KeyId): Promise<readonly KeyResult[]>;
  commit(change: {
    readonly links?: readonly (KeyLink & { readonly to: KeyId })[];
    readonly results?: readonly { readonly key: KeyId; readonly result: KeyResult }[];
  }): Promise<void>;
  /** Forgets a result everywhere, and the links that no longer lead to any. */
  dropResult(id: string): Promise<void>;
  /** Every result id known, to find those whose files are gone. */
  resultIds(): AsyncIterable<string>;
}
