import { closeSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path/posix';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { checkJsonBounds } from '../../base/json/json-bounds.ts';
import { respacedJson } from '../../base/json/respaced-json.ts';
import { sortedJson } from '../../base/json/sorted-json.ts';
import { openRegularFile } from '../../base/open-regular-file.ts';
import { resolveInRoot } from '../../base/rooted-path.ts';
import {
  type AttestationSubject,
  isProvenanceType,
  parseDigestSet,
  parsePredicateType,
} from '../../oci/in-toto.ts';

/** What is read of the tree at `root`. */
export interface AttestationFiles {
  readonly root: string;
  readonly path: string;
  /** How many bytes may be read, and how many the predicates may have. */
  readonly budget: number;
  readonly content: /** The predicate of one attestation. */
    | {
        readonly kind: 'in-toto';
        readonly predicateType: string;
        readonly subjects: readonly AttestationSubject[];
      }
    /** A directory of statements, each of them of this type; undefined: of any. */
    | { readonly kind: 'bundle'; readonly predicateType: string | undefined };
}

export interface ReadAttestation {
  readonly predicateType: string;
  readonly subjects: readonly AttestationSubject[];
  readonly path: string;
  /** JSON as Go writes it; empty when the file is. */
  readonly predicate: Uint8Array;
  /** What it takes of the budget: escaping makes some text six times as long, and a statement has more than its predicate. */
  readonly size: number;
}

/** BuildKit's limit of one file. */
const maxFile = 40 * 1024 * 1024;
const maxEntries = 1_000;
const maxSubjects = 100_000;
/** What a subject takes of the budget at least, in bytes: its text can have two. */
const subjectSize = 200;

/** Reads attestations of a tree. Throws `invalid_argument`, naming the file. */
export default function readAttestationsTask(files: AttestationFiles): readonly ReadAttestation[] {
  const { root, path: name, budget, content } = files;
  if (content.kind === 'bundle') return readBundle(files, content.predicateType);
  const { predicateType, subjects } = content;
  const bytes = readRegularFile(root, name, budget);
  if (bytes.length > 0) parseJson(bytes, `attestation ${name}`, `attestation ${name} is not JSON`);
  const predicate = respacedJson(bytes);
  if (predicate.length > budget) throw tooLarge(name);
  return [{ predicateType, subjects, path: name, predicate, size: predicate.length }];
}

function readBundle(
  { root, path: directory, budget }: AttestationFiles,
  required: string | undefined,
): readonly ReadAttestation[] {
  const names = named(directory, () => readdirSync(resolveInRoot(root, directory))).sort();
  if (names.length > maxEntries) {
    throw invalid(`attestation bundle ${directory}: ${names.length} entries are more than ${maxEntries}`);
  }
  let left = budget;
  return names.map((entry) => {
    const name = path.join(directory, entry);
    const bytes = readRegularFile(root, name, left);
    const statement = parseStatement(bytes, name);
    left -= statement.size;
    if (left < 0) throw tooLarge(name);
    if (required !== undefined && statement.predicateType !== required) {
      throw invalid(
        `bundle entry ${name}: ${statement.predicateType} does not match required predicate type ${required}`,
      );
    }
    if (isProvenanceType(statement.predicateType)) {
      throw invalid(`bundle entry ${name}: frontend may not bundle provenance attestations`);
    }
    return statement;
  });
}

function parseStatement(bytes: Uint8Array, name: string): ReadAttestation {
  const what = `in-toto statement ${name}`;
  const json = objectOf(parseJson(bytes, what, `cannot decode ${what}`), what);
  const predicateType = json.predicateType ?? '';
  if (typeof predicateType !== 'string') throw invalid(`${what}: its predicateType is not a string`);
  const subjects = json.subject ?? [];
  if (!Array.isArray(subjects)) throw invalid(`${what}: its subject is not a list`);
  if (subjects.length > maxSubjects) {
    throw invalid(`${what}: ${subjects.length} subjects are more than ${maxSubjects}`);
  }
  const predicate = Buffer.from(sortedJson(json.predicate ?? null, what));
  return {
    predicateType: parsePredicateType(predicateType, what),
    subjects: subjects.map((each: unknown) => parseSubject(each, what)),
    path: name,
    predicate,
    size: Math.max(bytes.length, predicate.length) + subjects.length * subjectSize,
  };
}

function parseSubject(value: unknown, what: string): AttestationSubject {
  const { name = '', digest = {} } = objectOf(value, `a subject of ${what}`);
  if (typeof name !== 'string') throw invalid(`${what}: the name of a subject is not a string`);
  const digests = Object.entries(objectOf(digest, `the digest of a subject of ${what}`));
  return {
    kind: 'raw',
    name: name === '' ? undefined : name,
    digest: parseDigestSet(digests.map(([algorithm, hex]) => `${algorithm}:${hex}`)),
  };
}

/** Throws `invalid_argument`: for what is no JSON, with `wrong` before the reason. */
function parseJson(bytes: Uint8Array, what: string, wrong: string): unknown {
  checkJsonBounds(bytes, what);
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw invalid(`${wrong}: ${(cause as Error).message}`, cause);
  }
}

function objectOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${what} is not a JSON object`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function readRegularFile(root: string, name: string, budget: number): Uint8Array {
  return named(name, () => {
    const file = openRegularFile(resolveInRoot(root, name));
    if (!file) throw invalid(`attestation ${name} is not a regular file`);
    const { descriptor, stats } = file;
    try {
      if (stats.size > maxFile) throw invalid(`attestation ${name} exceeds ${maxFile} bytes`);
      if (stats.size > budget) throw tooLarge(name);
      return readFileSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  });
}

/** System errors say what was asked for, not where it happens to be mounted. */
function named<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const reason = errno === 'ENOENT' ? 'no such file or directory' : errno;
    throw new KilnError('not_found', `cannot read in-toto attestation ${name}: ${reason}`, { cause: error });
  }
}

function tooLarge(name: string): KilnError {
  return invalid(`attestation ${name}: all of one result together are too large`);
}

function invalid(message: string, cause?: unknown): KilnError {
  return new KilnError('invalid_argument', message, { cause });
}
