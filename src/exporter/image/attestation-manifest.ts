import { goJson } from '../../base/json/go-json.ts';
import { withStatus } from '../../base/progress.ts';
import { type ContentStore, writeBlob } from '../../content/content.ts';
import { type Descriptor, mediaTypes } from '../../oci/descriptor.ts';
import { documentOf, type ImageDocument } from '../../oci/image-document.ts';
import {
  encodeStatement,
  predicateTypeAnnotation,
  type Statement,
  statementMediaType,
} from '../../oci/in-toto.ts';
import { attestationAnnotations, attestationManifestType, encodeManifest } from '../../oci/manifest.ts';
import type { ExportContext } from '../exporter.ts';

/** The attestations of one platform's image as they were written. */
export interface WrittenAttestations {
  /** Its descriptor says in an index which image it is about. */
  readonly manifest: ImageDocument;
  readonly config: ImageDocument;
  /** Each with the type of its predicate in its descriptor's annotations. */
  readonly statements: readonly ImageDocument[];
}

const artifactType = 'application/vnd.docker.attestation.manifest.v1+json';

/** Attestations are no image for any platform. */
const noPlatform = { os: 'unknown', architecture: 'unknown' } as const;

/**
 * Writes a manifest whose layers are in-toto statements about the image of `subject`: an artifact that refers to that image, or, for
 * registries that know no artifacts, an image whose config is for no platform.
 */
export async function writeAttestations(
  statements: readonly Statement[],
  subject: Descriptor,
  options: { readonly ociArtifact: boolean },
  content: ContentStore,
  { progress }: Pick<ExportContext, 'progress'>,
): Promise<WrittenAttestations> {
  const documents = statements.map((statement) =>
    documentOf(statementMediaType, encodeStatement(statement), {
      annotations: { [predicateTypeAnnotation]: statement.predicateType },
    }),
  );
  for (const document of documents) await store(document, content);
  const layers = documents.map(({ descriptor }) => descriptor);
  const { mediaType, digest, size } = subject;
  const config = options.ociArtifact ? emptyConfig : imageConfig(layers);
  const manifest = documentOf(
    mediaTypes.ociManifest,
    encodeManifest({
      kind: 'manifest',
      mediaType: mediaTypes.ociManifest,
      config: config.descriptor,
      layers,
      ...(options.ociArtifact && { artifactType, subject: { mediaType, digest, size } }),
    }),
    {
      annotations: {
        [attestationAnnotations.type]: attestationManifestType,
        [attestationAnnotations.digest]: digest,
      },
      platform: noPlatform,
    },
  );
  await withStatus(progress, `exporting attestation manifest ${manifest.descriptor.digest}`, async () => {
    await store(manifest, content);
    await store(config, content);
  });
  return { manifest, config, statements: documents };
}

async function store(document: ImageDocument, content: ContentStore): Promise<void> {
  const { digest, size } = document.descriptor;
  await writeBlob(content, document.bytes, { digest, size });
}

/** What an artifact has in the place of a config. Its descriptor brings it along. */
const emptyConfig = ((): ImageDocument => {
  const bytes = Buffer.from('{}');
  return documentOf(mediaTypes.ociEmpty, bytes, { data: bytes });
})();

function imageConfig(layers: readonly Descriptor[]): ImageDocument {
  const config = {
    architecture: noPlatform.architecture,
    os: noPlatform.os,
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  };
  return documentOf(mediaTypes.ociConfig, Buffer.from(goJson(config)));
}
