import { asKilnError, KilnError } from '../../base/errors.ts';
import { hasWildcard } from '../../base/pattern/pattern.ts';
import { canonicalDigest, type Plain } from '../../base/text/canonical.ts';
import type { ContentChecksums, ContentSelection } from '../../content-hash/checksum.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheInput, OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { InputFiles, NearestPath } from './input-files.ts';

/**
 * The cache inputs of an operation that reads `selections` of its inputs, undefined for an input that counts as a whole.
 * `whole`: what such an input counts by.
 */
export function cacheInputs(
  checksums: ContentChecksums,
  inputs: readonly InputFiles[],
  selections: readonly (readonly ContentSelection[] | undefined)[],
  whole: (index: number) => CacheInput<ImmutableRef, JobContext> = () => ({}),
): readonly CacheInput<ImmutableRef, JobContext>[] {
  return inputs.map(({ contentOnly, nearestPath }, index) => {
    const selected = selections[index];
    const input = selected ? contentInput(checksums, selected, nearestPath) : whole(index);
    return { ...input, contentOnly };
  });
}

/** An input that is read only at `selections`: by definition they are the selector, by content what is found there counts. */
function contentInput(
  checksums: ContentChecksums,
  selections: readonly ContentSelection[],
  nearestPath: NearestPath | undefined,
): CacheInput<ImmutableRef, JobContext> {
  const distinct = distinctSelections(selections);
  return {
    selector: canonicalDigest('selector', distinct as unknown as Plain),
    async contentKey(ref, context) {
      try {
        return await checksums.combined(ref, distinct, context);
      } catch (error) {
        const known = asKilnError(error);
        if (known.code !== 'not_found') throw known;
        const better = nearestPath && (await missingPath(distinct, nearestPath, context));
        throw withoutKey(better ?? known, ref);
      }
    },
  };
}

/** That a file is missing is said in BuildKit's words, and with its status, for which programs look. */
function withoutKey(error: KilnError, { id }: ImmutableRef): KilnError {
  return new KilnError(
    'unknown',
    `failed to compute cache key: failed to calculate checksum of ref ${id}: ${error.message}`,
    { cause: error, hint: error.hint, details: error.details },
  );
}

/** The error of the first path that is not there but nearly; undefined when none is. */
async function missingPath(
  selections: readonly ContentSelection[],
  nearestPath: NearestPath,
  context: OperationContext<JobContext>,
): Promise<KilnError | undefined> {
  for (const { path, wildcard } of selections) {
    if (wildcard && hasWildcard(path)) continue;
    // What cannot be found out must not hide what is known.
    const near = await nearestPath(path, context).catch(() => undefined);
    if (near === undefined) continue;
    return new KilnError(
      'not_found',
      `${JSON.stringify(path)}: not found (did you mean ${JSON.stringify(near)}?)`,
    );
  }
  return undefined;
}

/** Each selection once, in the order in which their digests are combined. */
export function distinctSelections(selections: readonly ContentSelection[]): readonly ContentSelection[] {
  return [...new Map(selections.map((each) => [JSON.stringify(each), each])).entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, each]) => each);
}
