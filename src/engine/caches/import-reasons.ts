import type { KeyId } from '../../solver/key-store.ts';
import type { LookupAccount } from '../../solver/solver.ts';
import type { BuildImport } from './build-caches.ts';

/** Says why each imported cache did not spare the build a step that has to run; empty without imports. Each reason follows a semicolon. */
export async function importReasons(imports: readonly BuildImport[], lookup: LookupAccount): Promise<string> {
  const reasons = await Promise.all(
    imports.map(async (each) => `; cache ${each.name} ${await importReason(each, lookup)}`),
  );
  return reasons.join('');
}

async function importReason(
  { source, failure }: BuildImport,
  { keysWithoutResult }: LookupAccount,
): Promise<string> {
  if (!source) return `cannot be imported: ${failure}`;
  const { outcome } = source;
  switch (outcome.kind) {
    case 'pending':
      return 'was not read yet';
    case 'failed':
      return `cannot be read: ${outcome.message}`;
    case 'loaded': {
      if (outcome.empty) return 'is empty';
      const results = await source.keys.results(keysWithoutResult as readonly KeyId[]);
      return results.length > 0 ? 'has lost layers of it' : 'has no such key';
    }
  }
}
