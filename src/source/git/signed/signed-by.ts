import { asKilnError, KilnError } from '../../../base/errors.ts';
import type { DescribedObject } from '../describe-object.ts';
import type { GitSignature } from '../git-request.ts';
import { type SignedObject, signedCommit, signedTag } from './signed-object.ts';

/** Throws `failed_precondition` when the signature of an object is not one that is wanted. */
export type CheckObject = (signed: SignedObject) => Promise<void>;

/**
 * Throws `failed_precondition` unless the annotated tag `object`, or the commit, is signed as the request wants it: a tag that is signed by somebody else does not
 * count, and the commit may be signed in its place unless the tag has to be.
 */
export async function checkSignedBy(
  object: string,
  { commit, commitObject, tagObject }: DescribedObject,
  { requireSignedTag, ignoreSignedTag }: GitSignature,
  check: CheckObject,
): Promise<void> {
  const verified = async (signed: SignedObject | undefined) => {
    if (!signed) throw unsigned();
    await check(signed);
  };
  let failure: unknown;
  if (tagObject && !ignoreSignedTag) {
    try {
      await verified(signedTag(object, tagObject));
      return;
    } catch (error) {
      if (asKilnError(error).code !== 'failed_precondition') throw error;
      failure = error;
    }
  }
  if (requireSignedTag) {
    throw (
      failure ??
      new KilnError('failed_precondition', 'signed tag required but no signed tag found', {
        hint: 'name an annotated tag that is signed',
      })
    );
  }
  await verified(signedCommit(commit, commitObject));
}

function unsigned(): KilnError {
  return new KilnError('failed_precondition', 'git object is not signed', {
    hint: 'the commit, or the annotated tag that is named, has to be signed by one of the keys',
  });
}
