import { canonicalDigest, type Plain } from '../base/canonical.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { ContentChecksums, ContentSelection } from '../layer/checksum.ts';
import type { ImmutableRef } from '../layer/ref.ts';
import type { CacheInput } from '../solver/solver.ts';
import type { BuildContext } from './build-context.ts';

/** An input that is read only at `selections`: by definition they are the selector, by content what is found there counts. */
export function contentInput(
  checksums: ContentChecksums,
  selections: readonly ContentSelection[],
): CacheInput<ImmutableRef, BuildContext> {
  const distinct = distinctSelections(selections);
  return {
    selector: canonicalDigest('selector', distinct as unknown as Plain),
    contentKey: (ref, context) =>
      checksums.combined(ref, distinct, context).catch((error: unknown) => {
        throw withoutKey(asKilnError(error), ref);
      }),
  };
}

/** That a file is missing is said in BuildKit's words, and with its status, for which programs look. */
function withoutKey(error: KilnError, { id }: ImmutableRef): KilnError {
  if (error.code !== 'not_found') return error;
  return new KilnError(
    'unknown',
    `failed to compute cache key: failed to calculate checksum of ref ${id}: ${error.message}`,
    { cause: error, hint: error.hint, details: error.details },
  );
}

/** Each selection once, in the order in which their digests are combined. */
export function distinctSelections(selections: readonly ContentSelection[]): readonly ContentSelection[] {
  return [...new Map(selections.map((each) => [JSON.stringify(each), each])).entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, each]) => each);
}
