import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  Attestation as AttestationMessage,
  AttestationSchema,
  Attestations as AttestationsMessage,
  InTotoSubject,
} from '../api/gen/gateway_pb.js';
import { AttestationKind, InTotoSubjectKind } from '../api/gen/gateway_pb.js';
import { KilnError } from '../base/errors.ts';
import type { ResultAttestation, ResultAttestations } from '../frontend/result-attestation.ts';
import { type AttestationSubject, parseDigestSet } from '../oci/in-toto.ts';

/** More than the files of a large image; they are repeated in every output. */
const maxSubjects = 100_000;

/** The attestations of a client's result; `treeOf` finds the tree of an id, which is not empty. Throws `invalid_argument`. */
export function attestationsFromMessage<Tree>(
  messages: Readonly<Record<string, AttestationsMessage>>,
  treeOf: (id: string) => Tree,
): ResultAttestations<Tree> {
  return new Map(
    Object.entries(messages).map(([id, { attestations }]) => [
      id,
      attestations.map((each) => attestationFromMessage(each, treeOf)),
    ]),
  );
}

function attestationFromMessage<Tree>(
  message: AttestationMessage,
  treeOf: (id: string) => Tree,
): ResultAttestation<Tree> {
  const { ref, path, inTotoSubjects } = message;
  if (inTotoSubjects.length > maxSubjects) {
    throw new KilnError(
      'invalid_argument',
      `attestation ${path} has ${inTotoSubjects.length} subjects, more than ${maxSubjects}`,
    );
  }
  return {
    kind: kindOf(message),
    metadata: new Map(Object.entries(message.metadata)),
    tree: ref && ref.id !== '' ? treeOf(ref.id) : undefined,
    path,
    predicateType: message.inTotoPredicateType,
    subjects: inTotoSubjects.map(subjectFromMessage),
  };
}

function kindOf({ kind, path }: AttestationMessage): ResultAttestation<never>['kind'] {
  switch (kind) {
    case AttestationKind.IN_TOTO:
      return 'in-toto';
    case AttestationKind.BUNDLE:
      return 'bundle';
    default:
      throw new KilnError('invalid_argument', `attestation ${path} is of an unknown kind: ${kind}`);
  }
}

function subjectFromMessage({ kind, name: given, digests }: InTotoSubject): AttestationSubject {
  const name = given === '' ? undefined : given;
  switch (kind) {
    case InTotoSubjectKind.SELF:
      return { kind: 'self', name };
    case InTotoSubjectKind.RAW:
      return { kind: 'raw', name, digest: parseDigestSet(digests) };
    default:
      throw new KilnError('invalid_argument', `unknown attestation subject type ${kind}`);
  }
}

/** Attestations as a client sees them. */
export async function attestationsToMessage<Tree>(
  attestations: ResultAttestations<Tree>,
  refOf: (tree: Tree | undefined) => Promise<MessageInitShape<typeof AttestationSchema>['ref']>,
): Promise<Record<string, { attestations: MessageInitShape<typeof AttestationSchema>[] }>> {
  const entries = [...attestations].map(async ([id, all]) => {
    const messages = all.map(async ({ kind, metadata, tree, path, predicateType, subjects }) => ({
      kind: kind === 'bundle' ? AttestationKind.BUNDLE : AttestationKind.IN_TOTO,
      metadata: Object.fromEntries(metadata),
      ref: await refOf(tree),
      path,
      inTotoPredicateType: predicateType,
      inTotoSubjects: subjects.map(subjectToMessage),
    }));
    return [id, { attestations: await Promise.all(messages) }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

function subjectToMessage(subject: AttestationSubject) {
  const name = subject.name ?? '';
  return subject.kind === 'self'
    ? { kind: InTotoSubjectKind.SELF, name }
    : {
        kind: InTotoSubjectKind.RAW,
        name,
        digests: Object.entries(subject.digest).map(([algorithm, hex]) => `${algorithm}:${hex}`),
      };
}
