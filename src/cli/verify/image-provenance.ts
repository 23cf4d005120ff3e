import { platformToMessage } from '../../api/platform-message.ts';
import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { Question } from '../../client/ask.ts';
import { resolveLayoutTag } from '../../client/layout-index.ts';
import { predicateTypeAnnotation } from '../../oci/in-toto.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { formatReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import { checkDirectory } from '../options/build-context.ts';
import { parseLayoutReference } from '../options/values/layout-reference.ts';

/** Where an image is, as the daemon is asked for it. */
export interface ImagePlace {
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
  /** Layouts that the daemon may read, by the name of the store. */
  readonly layouts: ReadonlyMap<string, string>;
}

/** What is attested about one platform's image. */
export interface ImageProvenance {
  /** Of the manifest. */
  readonly manifest: string;
  /** An in-toto statement; undefined when the image has no provenance. */
  readonly statement: Uint8Array | undefined;
}

/** The versions that are understood, the best first. */
const predicateTypes = ['https://slsa.dev/provenance/v1', 'https://slsa.dev/provenance/v0.2'];
const layoutStore = 'verified';

/** Throws `invalid_argument` for what names no image. */
export async function imagePlace(text: string): Promise<ImagePlace> {
  const layout = parseLayoutReference(text);
  if (!layout) {
    const reference = formatReference(withDefaultTag(parseReference(text)));
    return { identifier: `docker-image://${reference}`, attrs: {}, layouts: new Map() };
  }
  await checkDirectory(layout.directory);
  const digest = layout.digest ?? (await resolveLayoutTag(layout.directory, layout.tag ?? 'latest'));
  return {
    identifier: `oci-layout://${layoutStore}@${digest}`,
    attrs: { 'oci.store': layoutStore },
    layouts: new Map([[layoutStore, layout.directory]]),
  };
}

/** Asks for the provenance of an image for one platform (undefined: the daemon's own), and tells `found`. */
export function askProvenance(
  { identifier, attrs }: ImagePlace,
  platform: Platform | undefined,
  found: (provenance: ImageProvenance) => void,
): Question {
  return async (bridge, call) => {
    const request = {
      source: { identifier, attrs: { ...attrs } },
      platform: platform && platformToMessage(platform),
      image: { noConfig: true, attestationChain: true, resolveAttestations: predicateTypes },
    };
    const { image } = await bridge.resolveSourceMeta(request, call);
    const chain = image?.attestationChain;
    if (!chain) {
      found({ manifest: image?.digest ?? '', statement: undefined });
      return new Map();
    }
    const manifest = chain.blobs[chain.attestationManifest]?.data;
    const layers = manifest ? layersOf(manifest, identifier) : [];
    const statements = predicateTypes.flatMap((type) =>
      layers.flatMap(({ digest, annotations }) => {
        const data = annotations?.[predicateTypeAnnotation] === type ? chain.blobs[digest]?.data : undefined;
        return data ? [data] : [];
      }),
    );
    found({ manifest: chain.imageManifest, statement: statements[0] });
    return new Map();
  };
}

function layersOf(bytes: Uint8Array, identifier: string) {
  const manifest = parseManifest(bytes, `${identifier}: attestations`);
  if (manifest.kind === 'manifest') return manifest.layers;
  throw new KilnError('invalid_argument', `${identifier}: its attestations are an index`);
}
