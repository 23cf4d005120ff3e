import { KilnError } from '../base/errors.ts';
import { goJson, sortedMap } from '../base/json/go-json.ts';

/** Digests of one thing by the names of their algorithms, in hex (in-toto's `DigestSet`). */
export type DigestSet = Readonly<Record<string, string>>;

/**
 * What an attestation is about: the result that it is attached to, by the names and digests that each output gives it (and by `name`,
 * if there is one), or something else, which it names itself.
 */
export type AttestationSubject =
  | { readonly kind: 'self'; readonly name: string | undefined }
  | { readonly kind: 'raw'; readonly name: string | undefined; readonly digest: DigestSet };

/** The media type of an in-toto statement. */
export const statementMediaType = 'application/vnd.in-toto+json';

/** The layer annotation that says of which type a statement's predicate is. */
export const predicateTypeAnnotation = 'in-toto.io/predicate-type';

/** A software bill of materials in SPDX's form. */
export const spdxPredicateType = 'https://spdx.dev/Document';

/** What the predicate types of build provenance begin with; the version follows. */
const provenancePredicateTypes = 'https://slsa.dev/provenance/';

export function isProvenanceType(predicateType: string): boolean {
  return predicateType.startsWith(provenancePredicateTypes);
}

/** It is a URI, and an annotation. */
const maxPredicateType = 2_048;

/** Reads the type of a predicate, which may be empty. Throws `invalid_argument`; `what` names the attestation in the message. */
export function parsePredicateType(text: string, what: string): string {
  if (text.length <= maxPredicateType && !/[\s\0-\x1f\x7f]/.test(text)) return text;
  throw new KilnError(
    'invalid_argument',
    `${what}: invalid predicate type ${JSON.stringify(text.slice(0, 200))}`,
    { hint: `it is a URI of at most ${maxPredicateType} characters` },
  );
}

/** Reads digests of the form `sha256:<hex>`, of any algorithm. Throws `invalid_argument`. */
export function parseDigestSet(digests: readonly string[]): DigestSet {
  return Object.fromEntries(
    digests.map((digest) => {
      const match = /^([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)$/.exec(digest);
      if (match) return [match[1]!, match[2]!] as const;
      throw new KilnError(
        'invalid_argument',
        `invalid digest ${JSON.stringify(digest.slice(0, 200))} of an attestation's subject`,
      );
    }),
  );
}

/** What a statement is about, as the statement says it. */
export interface StatementSubject {
  readonly name: string;
  readonly digest: DigestSet;
}

export interface Statement {
  readonly predicateType: string;
  readonly subjects: readonly StatementSubject[];
  /** JSON as Go writes it. */
  readonly predicate: Uint8Array;
}

const statementType = 'https://in-toto.io/Statement/v1';

/** The bytes of a statement as BuildKit writes them. */
export function encodeStatement({ predicateType, subjects, predicate }: Statement): Uint8Array {
  const head = goJson({
    _type: statementType,
    predicateType,
    subject: subjects.map(({ name, digest }) => ({ name, digest: sortedMap(digest) ?? {} })),
  });
  return Buffer.concat([
    Buffer.from(`${head.slice(0, -1)},"predicate":`),
    predicate.length > 0 ? predicate : Buffer.from('null'),
    Buffer.from('}'),
  ]);
}

/** A statement may have as many subjects as an output has files, but not many times that. */
const maxSubjects = 1_000_000;

/**
 * The subjects that a statement gets in an output that names the result `own`. Throws `invalid_argument` when they are too many.
 */
export function statementSubjects(
  subjects: readonly AttestationSubject[],
  own: readonly StatementSubject[],
): readonly StatementSubject[] {
  const named = subjects.length === 0 ? ([{ kind: 'self', name: undefined }] as const) : subjects;
  const count = named.reduce(
    (sum, { kind, name }) => sum + (kind === 'raw' ? 1 : own.length * (name === undefined ? 1 : 2)),
    0,
  );
  if (count > maxSubjects) {
    throw new KilnError(
      'invalid_argument',
      `an attestation would have ${count} subjects, more than ${maxSubjects}`,
    );
  }
  return named.flatMap((subject): readonly StatementSubject[] => {
    const { name } = subject;
    if (subject.kind === 'raw') return [{ name: name ?? unnamed, digest: subject.digest }];
    return own.flatMap((each) => (name === undefined ? [each] : [each, { name, digest: each.digest }]));
  });
}

/** in-toto's name for a subject without one. */
const unnamed = '_';
