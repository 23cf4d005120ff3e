import { isDigest } from '../base/digest.ts';
import { asKilnError, type KilnError } from '../base/errors.ts';
import type { OpGraph } from './graph.ts';

/** The error of a vertex of a graph, with the places where the vertex was written, the last one first. */
export function withSource(error: unknown, { source }: Pick<OpGraph, 'source'>): KilnError {
  const known = asKilnError(error);
  if (!source || known.details.some(({ kind }) => kind === 'source')) return known;
  const locations = known.details.flatMap((detail) =>
    detail.kind === 'vertex' && isDigest(detail.digest) ? (source.locations.get(detail.digest) ?? []) : [],
  );
  return locations.reduceRight((located, { file, ranges }) => {
    const text = source.files[file];
    return text ? located.withDetail({ kind: 'source', ...text, ranges }) : located;
  }, known);
}
