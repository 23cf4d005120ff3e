import { hash } from 'node:crypto';
import type { Digest } from '../base/digest.ts';
import type { KeyId } from './key-store.ts';

/**
 * Key ids are pure functions of what they stand for, the same in every store and on every machine. Each kind hashes
 * its own prefix, so that ids of different kinds never meet.
 */
function keyOf(parts: readonly string[]): KeyId {
  let text = '';
  for (const part of parts) text += `${part.length}:${part}`;
  return hash('sha256', text, 'base64url') as KeyId;
}

/** Output `output` of an operation without inputs (a source). */
export function rootKey(operation: Digest, output: number): KeyId {
  return keyOf(['root', operation, String(output)]);
}

/** Content as one consumer reads it. No definition can have this id, and no selector belongs to it: it is in the digest. */
export function contentKey(content: Digest): KeyId {
  return keyOf(['content', content]);
}

export interface DerivedInput {
  readonly id: KeyId;
  /** Undefined where `id` is a content key. */
  readonly selector: Digest | undefined;
}

/** Output `output` of an operation over inputs of which each is known by `id`. */
export function derivedKey(operation: Digest, output: number, inputs: readonly DerivedInput[]): KeyId {
  const parts = ['derived', operation, String(output)];
  for (const { id, selector } of inputs) parts.push(id, selector ?? '');
  return keyOf(parts);
}
