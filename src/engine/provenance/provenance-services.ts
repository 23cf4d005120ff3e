import type { BuildFacts } from '../../provenance/provenance-account.ts';
import type { LayerLookup, RefLookup } from '../../ref/ref-store.ts';
import type { KeySource } from '../../solver/key-store.ts';

/** What the provenance of each build of an engine says, and where it finds layers. */
export interface ProvenanceServices
  extends Pick<BuildFacts, 'platform' | 'dockerfileVersion' | 'environment'> {
  readonly layers: LayerFinder;
}

/** Leads from keys to the trees that have them. */
export interface LayerFinder {
  readonly keyStore: Pick<KeySource, 'results'>;
  readonly refStore: Pick<RefLookup, 'has'> & LayerLookup;
}
