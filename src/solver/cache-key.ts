import { hash } from 'node:crypto';
import { type Digest, digestOf, isDigest } from '../base/digest.ts';
import type { KeyId } from './key-store.ts';

/**
 * Key ids are pure functions of what they stand for, the same in every store and on every machine. Those that no other key leads to,
 * `rootKey` and `contentKey`, are digests of records of BuildKit's cache config: caches of both builders can be searched by them.
 */

/** In place of an output: content, which no operation has made. */
const noOutput = -1;

/** The digest of a record in BuildKit's cache config: what output `output` of an operation is, whatever its inputs are. */
export function recordDigest(operation: Digest, output: number): Digest {
  return digestOf(`${operation}@${output}`);
}

/** Output `output` of an operation without inputs (a source). */
export function rootKey(operation: Digest, output: number): KeyId {
  return recordDigest(operation, output) as string as KeyId;
}

/** Content as one consumer reads it. No selector belongs to it: it is in the digest. */
export function contentKey(content: Digest): KeyId {
  return recordDigest(content, noOutput) as string as KeyId;
}

/** The record of a cache config that a key is the digest of, or undefined for a key that other keys lead to. */
export function recordOfKey(key: KeyId): Digest | undefined {
  const text: string = key;
  return isDigest(text) ? text : undefined;
}

export interface DerivedInput {
  readonly id: KeyId;
  /** Undefined where `id` is a content key. */
  readonly selector: Digest | undefined;
}

/** Output `output` of an operation over inputs of which each is known by `id`. Of a form that no record of a cache config has. */
export function derivedKey(operation: Digest, output: number, inputs: readonly DerivedInput[]): KeyId {
  let text = '';
  const parts = [operation, String(output), ...inputs.flatMap(({ id, selector }) => [id, selector ?? ''])];
  for (const part of parts) text += `${part.length}:${part}`;
  return hash('sha256', text, 'base64url') as KeyId;
}
