import type { RefId } from '../../ref/ref.ts';
import type { RefLookup } from '../../ref/ref-store.ts';
import type { KeyStore } from '../../solver/key-store.ts';

/**
 * Forgets the results whose records are gone. A record and its keys do not go in one transaction, so a killed process can leave
 * keys behind; this runs beside builds after each start.
 */
export async function dropLostResults(
  keyStore: KeyStore,
  refStore: RefLookup,
  signal: AbortSignal,
): Promise<void> {
  for await (const id of keyStore.resultIds()) {
    if (signal.aborted) return;
    if (!refStore.has(id as RefId)) await keyStore.dropResult(id);
  }
}
