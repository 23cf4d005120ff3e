import path from 'node:path/posix';
import { KilnError } from '../../base/errors.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import { type AttestationSubject, spdxPredicateType } from '../../oci/in-toto.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { Attestation, InTotoAttestation, PredicateContext } from '../attestation.ts';
import type { AttestationFiles, ReadAttestation } from './read-attestations.task.ts';

/** An attestation with its predicate. */
export interface LoadedAttestation {
  readonly predicateType: string;
  readonly subjects: readonly AttestationSubject[];
  /** Its base name is the file's in outputs of files. */
  readonly path: string;
  /** Whether it is the SBOM of the result itself, not of what the result was made with. */
  readonly isCoreSbom: boolean;
  /** JSON as Go writes it; without any bytes: none, which is `null`. */
  readonly predicate: Uint8Array;
}

/** What the attestations of one result may take in memory, in bytes. */
const maxTotal = 256 * 1024 * 1024;

/** Of one result, those of bundles one by one: each costs every output a document. */
const maxStatements = 2_000;

/**
 * The attestations with their predicates, those of bundles one by one. SBOMs of the result itself come first: many
 * tools look at the first only. Throws `invalid_argument` for files that are no attestations.
 */
export async function loadAttestations(
  attestations: readonly Attestation[],
  pool: ThreadPool,
  context: PredicateContext,
): Promise<readonly LoadedAttestation[]> {
  const loaded: LoadedAttestation[] = [];
  let budget = maxTotal;
  for (const attestation of attestations) {
    for (const { size, ...each } of await load(attestation, budget, pool, context)) {
      budget -= size;
      loaded.push({ ...each, isCoreSbom: isCoreSbom(each, attestation) });
    }
    if (loaded.length > maxStatements) {
      throw new KilnError('invalid_argument', `a result has more than ${maxStatements} attestations`);
    }
  }
  return [...loaded.filter((each) => each.isCoreSbom), ...loaded.filter((each) => !each.isCoreSbom)];
}

async function load(
  attestation: Attestation,
  budget: number,
  pool: ThreadPool,
  context: PredicateContext,
): Promise<readonly ReadAttestation[]> {
  const { path: name } = attestation;
  if (attestation.kind === 'bundle') {
    const { ref, predicateType } = attestation;
    return await readFiles(ref, { path: name, budget, content: { kind: 'bundle', predicateType } });
  }
  const { predicateType, subjects, predicate } = attestation;
  if (predicate.kind === 'made') {
    const made = await predicate.make(context);
    return [{ predicateType, subjects, path: name, predicate: made, size: made.length }];
  }
  const content = { kind: 'in-toto', predicateType, subjects } as const;
  return await readFiles(predicate.ref, { path: name, budget, content });

  async function readFiles(
    ref: ImmutableRef,
    files: Omit<AttestationFiles, 'root'>,
  ): Promise<readonly ReadAttestation[]> {
    await using view = await ref.mount(context);
    return await pool.run<AttestationFiles, readonly ReadAttestation[]>(
      new URL('./read-attestations.task.ts', import.meta.url),
      { ...files, root: view.path },
      { signal: context.signal },
    );
  }
}

function isCoreSbom(
  { path: name, predicateType }: Pick<InTotoAttestation, 'path' | 'predicateType'>,
  { sbomCore }: Attestation,
): boolean {
  return (
    sbomCore !== undefined &&
    predicateType === spdxPredicateType &&
    path.basename(name).split('.', 1)[0] === sbomCore
  );
}
