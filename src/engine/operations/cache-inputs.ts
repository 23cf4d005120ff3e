import { digestOf } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { hasWildcard } from '../../base/pattern/pattern.ts';
import type { ContentChecksums, ContentSelection, ContentSelections } from '../../content-hash/checksum.ts';
import type { OpVertex } from '../../llb/graph.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheInput, OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import { tellFailure } from '../result/tell-failure.ts';
import type { InputFiles, NearestPath } from './input-files.ts';
import type { InputReading } from './input-reading.ts';
import { withReadFailures } from './with-read-failures.ts';

/** What is read of a tree that has nothing. */
const emptyTreeKey = digestOf('nothing of the empty tree');

/** The cache inputs of the operation of `vertex`, which takes `readings` of its inputs. */
export function cacheInputs(
  checksums: ContentChecksums,
  inputs: readonly InputFiles[],
  readings: readonly InputReading[],
  vertex: OpVertex,
): readonly CacheInput<ImmutableRef, JobContext>[] {
  return inputs.map(({ contentOnly, nearestPath }, index) => {
    const { selector, content } = readings[index]!;
    if (!content) return { selector, contentOnly };
    // What a client sends is in a directory of its own, of which nobody has said anything.
    const selections = content.selections.map((each) => ({ ...each, rootCounts: !contentOnly }));
    const keyOf = contentKey(checksums, { ...content, selections }, nearestPath);
    return {
      selector,
      contentOnly,
      async contentKey(ref, context) {
        try {
          return await keyOf(ref, context);
        } catch (error) {
          const kept = { inputs: [ref], mounts: [], subject: { kind: 'cache', index } } as const;
          await tellFailure(vertex, context, async () => ({ kept, made: [] }));
          throw error;
        }
      },
    };
  });
}

function contentKey(
  checksums: ContentChecksums,
  { selections, isInOrderOfUse }: ContentSelections,
  nearestPath: NearestPath | undefined,
): NonNullable<CacheInput<ImmutableRef, JobContext>['contentKey']> {
  return async (ref, context) => {
    try {
      return await withReadFailures([ref], context.signal, () =>
        checksums.combined(ref, { selections, isInOrderOfUse }, context),
      );
    } catch (error) {
      const known = asKilnError(error);
      if (known.code !== 'not_found') throw known;
      // The step itself says what it does not find in an empty tree, as BuildKit does.
      if (ref.layers().length === 0) return emptyTreeKey;
      const better = nearestPath && (await missingPath(selections, nearestPath, context));
      throw withoutKey(better ?? known, ref);
    }
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
  for (const path of selections.flatMap(plainPaths)) {
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

/** The paths of a selection that have to be there under just these names. */
function plainPaths({ path, wildcard, requiredPaths }: ContentSelection): readonly string[] {
  const required = requiredPaths.filter((each) => !hasWildcard(each));
  return wildcard && hasWildcard(path) ? required : [...required, path];
}
