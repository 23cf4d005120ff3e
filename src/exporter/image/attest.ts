import { digestHex } from '../../base/digest.ts';
import type { ImageDocument } from '../../oci/image-document.ts';
import { type StatementSubject, statementSubjects } from '../../oci/in-toto.ts';
import { imagePackageUrl } from '../../oci/package-url.ts';
import { parseReference } from '../../oci/reference.ts';
import type { LayerBlob } from '../../ref/ref.ts';
import { loadAttestations } from '../attestations/load-attestations.ts';
import type { ExportContext, PlatformResult } from '../exporter.ts';
import { type WrittenAttestations, writeAttestations } from './attestation-manifest.ts';
import { type SbomServices, supplementSbom } from './supplement-sbom.ts';

/** Writes what is attested about one platform's image, under each of the image's names; undefined when nothing is. */
export async function attest(
  { attestations, platform }: PlatformResult,
  image: { readonly manifest: ImageDocument; readonly layers: readonly LayerBlob[] },
  options: { readonly names: readonly string[]; readonly ociArtifact: boolean },
  services: SbomServices,
  context: ExportContext,
): Promise<WrittenAttestations | undefined> {
  const loaded = await loadAttestations(attestations, services.pool, context);
  if (loaded.length === 0) return undefined;
  const own = options.names.map(
    (name): StatementSubject => ({
      name: imagePackageUrl(parseReference(name), platform),
      digest: { sha256: digestHex(image.manifest.descriptor.digest) },
    }),
  );
  const statements = [];
  for (const each of loaded) {
    statements.push({
      predicateType: each.predicateType,
      subjects: statementSubjects(each.subjects, own),
      predicate: each.isCoreSbom
        ? await supplementSbom(each.predicate, image.layers, services, context)
        : each.predicate,
    });
  }
  return await writeAttestations(statements, image.manifest.descriptor, options, services.content, context);
}
