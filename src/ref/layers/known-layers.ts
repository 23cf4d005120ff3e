import type { Digest } from '../../base/digest.ts';
import { layerIdentity, layerPublication } from '../../oci/layer-identity.ts';
import { parentsOf, type RefRecord } from '../records/ref-record.ts';
import type { RefRecords } from '../records/ref-records.ts';
import type { LayerBlob } from '../ref.ts';

/** The number of an image's layers that have records, from the bottom up, and the record of the topmost of these. */
export interface KnownLayers {
  readonly top: RefRecord | undefined;
  readonly count: number;
}

/**
 * Returns which layers of an image have records that it may share: those that were unpacked, whatever blobs they came in, and
 * above these the ones that came in the same blobs. `chain` has the chain id of each layer.
 */
export function knownLayers(
  layers: readonly LayerBlob[],
  chain: readonly Digest[],
  records: RefRecords,
): KnownLayers {
  let { top, count } = unpackedLayers(layers, chain, records);
  for (; count < layers.length; count++) {
    const next = claimedLayer(records.byChain(chain[count]!), layers[count]!, top);
    if (!next) break;
    top = next;
  }
  return { top, count };
}

/** Returns the longest part of the image, from the bottom up, that was unpacked. */
function unpackedLayers(
  layers: readonly LayerBlob[],
  chain: readonly Digest[],
  records: RefRecords,
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

/** Returns whether an image of these records would describe each layer as the image of `layers` does. */
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

/** Returns the record of this very blob on that parent: an image may claim any diff ids for its blobs. */
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
