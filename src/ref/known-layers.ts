import type { Digest } from '../base/digest.ts';
import { layerIdentity, layerPublication } from '../oci/layer-identity.ts';
import type { LayerBlob } from './ref.ts';
import { parentsOf, type RefRecord } from './ref-record.ts';
import type { RefRecords } from './ref-records.ts';

/** How many of an image's layers have records, from the bottom up, and that of the topmost of them. */
export interface KnownLayers {
  readonly top: RefRecord | undefined;
  readonly count: number;
}

/**
 * Which layers of an image are here already: those that were unpacked, whatever blobs they came in, and on these the ones that
 * came in the same blobs. `chain` has the chain id of each.
 */
export function knownLayers(
  layers: readonly LayerBlob[],
  chain: readonly Digest[],
  records: Pick<RefRecords, 'byChain' | 'ancestors'>,
): KnownLayers {
  let { top, count } = unpackedLayers(layers, chain, records);
  for (; count < layers.length; count++) {
    const next = claimedLayer(records.byChain(chain[count]!), layers[count]!, top);
    if (!next) break;
    top = next;
  }
  return { top, count };
}

/** The longest part of the image that was unpacked. */
function unpackedLayers(
  layers: readonly LayerBlob[],
  chain: readonly Digest[],
  records: Pick<RefRecords, 'byChain' | 'ancestors'>,
): KnownLayers {
  for (let count = layers.length; count > 0; count--) {
    const last = layers[count - 1]!;
    const [top] = [...records.byChain(chain[count - 1]!)]
      .filter(
        (record) =>
          record.claim === 'unpacked' && standsFor([record, ...records.ancestors(record)].reverse(), layers),
      )
      .sort((a, b) => Number(hasBlob(b, last)) - Number(hasBlob(a, last)));
    if (top) return { top, count };
  }
  return { top: undefined, count: 0 };
}

/** Whether an image of these records' layers says of each what the image of `layers` says of it. */
function standsFor(records: readonly RefRecord[], layers: readonly LayerBlob[]): boolean {
  return records.every(({ blobs }, index) => {
    const { descriptor } = layers[index]!;
    return blobs.some((blob) =>
      blob.descriptor.digest === descriptor.digest
        ? layerIdentity(blob.descriptor) === layerIdentity(descriptor)
        : layerPublication(blob.descriptor) === layerPublication(descriptor),
    );
  });
}

/** The record of this very blob on that parent: an image can claim what it likes of its layers, but not of their blobs. */
function claimedLayer(
  records: Iterable<RefRecord>,
  blob: LayerBlob,
  parent: RefRecord | undefined,
): RefRecord | undefined {
  return [...records].find((record) => parentsOf(record.origin)[0] === parent?.id && hasBlob(record, blob));
}

function hasBlob(record: RefRecord, { descriptor }: LayerBlob): boolean {
  const identity = layerIdentity(descriptor);
  return record.blobs.some((blob) => layerIdentity(blob.descriptor) === identity);
}
