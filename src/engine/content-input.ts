import { canonicalDigest, type Plain } from '../base/canonical.ts';
import type { ContentChecksums, ContentSelection } from '../layer/checksum.ts';
import type { ImmutableRef } from '../layer/ref.ts';
import type { CacheInput } from '../solver/solver.ts';
import type { BuildContext } from './build-context.ts';

/** An input that is read only at `selections`: by definition they are the selector, by content what is found there counts. */
export function contentInput(
  checksums: ContentChecksums,
  selections: readonly ContentSelection[],
): CacheInput<ImmutableRef, BuildContext> {
  const distinct = [...new Map(selections.map((each) => [JSON.stringify(each), each])).entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, each]) => each);
  return {
    selector: canonicalDigest('selector', distinct as unknown as Plain),
    contentKey: async (ref, context) => {
      const digests = await Promise.all(distinct.map((each) => checksums.checksum(ref, each, context)));
      return digests.length === 1 ? digests[0]! : canonicalDigest('content', digests);
    },
  };
}
