import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';

/** Says which vertex failed. An error that names one already (from a build inside the vertex) keeps it. */
export function withVertex(error: KilnError, vertex: Digest): KilnError {
  if (error.details.some((detail) => detail.kind === 'vertex')) return error;
  return error.withDetail({ kind: 'vertex', digest: vertex });
}

/** The error of `from`, as another vertex that shares its work has it. */
export function withoutVertex(error: KilnError, from: Digest): KilnError {
  return new KilnError(error.code, error.message, {
    cause: error.cause ?? error,
    hint: error.hint,
    details: error.details.filter((detail) => detail.kind !== 'vertex' || detail.digest !== from),
  });
}
