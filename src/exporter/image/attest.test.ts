import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { digestHex } from '../../base/digest.ts';
import { parsePlatform } from '../../base/platform.ts';
import { spdxPredicateType } from '../../oci/in-toto.ts';
import type { InTotoAttestation } from '../attestation.ts';
import { createExportRig, type ExportRig } from '../export-rig.ts';
import { imageBlobs } from './image-blobs.ts';
import { parseImageOptions, settleImageOptions } from './image-options.ts';
import { type WrittenImage, writeImage } from './image-writer.ts';

let rig: ExportRig;
let tree: string;

before(async () => {
  rig = await createExportRig();
  tree = path.join(rig.directory, 'tree');
  await mkdir(path.join(tree, 'etc'), { recursive: true });
  await writeFile(path.join(tree, 'etc/motd'), 'hello\n');
});
after(() => rig[Symbol.asyncDispose]());

const made = (predicate: unknown, parts: Partial<InTotoAttestation> = {}): InTotoAttestation => ({
  kind: 'in-toto',
  reason: undefined,
  sbomCore: undefined,
  inlineOnly: false,
  predicateType: 'https://example.com/v1',
  subjects: [],
  path: 'predicate.json',
  predicate: { kind: 'made', make: async () => Buffer.from(JSON.stringify(predicate)) },
  ...parts,
});

interface WriteOptions {
  readonly attributes?: Readonly<Record<string, string>>;
  readonly inlineAttestations?: boolean;
}

function write(
  attestations: readonly InTotoAttestation[],
  { attributes = {}, inlineAttestations = false }: WriteOptions = {},
): Promise<WrittenImage> {
  const input = rig.input([rig.result(tree, { attestations })]);
  const options = settleImageOptions(parseImageOptions(attributes, { inlineAttestations }), input, 'image');
  return writeImage(input, options, rig, rig.context);
}

const json = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString());

describe('an attested image', () => {
  test('is an index of the image and of an artifact that refers to it', async () => {
    const attributes = { name: 'app:1,localhost:5000/app:2' };
    const image = await write([made({ a: 1 })], { attributes });
    const [platform] = image.platforms;
    const { digest, size, mediaType } = platform!.manifest.descriptor;
    const attestations = platform!.attestations!;
    assert.deepEqual(json(image.root.bytes).manifests, [
      { mediaType, digest, size, platform: { architecture: 'amd64', os: 'linux' } },
      {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest: attestations.manifest.descriptor.digest,
        size: attestations.manifest.bytes.length,
        annotations: {
          'vnd.docker.reference.digest': digest,
          'vnd.docker.reference.type': 'attestation-manifest',
        },
        platform: { architecture: 'unknown', os: 'unknown' },
      },
    ]);
    const [statement] = attestations.statements;
    assert.deepEqual(json(attestations.manifest.bytes), {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: 'application/vnd.docker.attestation.manifest.v1+json',
      config: {
        mediaType: 'application/vnd.oci.empty.v1+json',
        digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
        size: 2,
        data: 'e30=',
      },
      layers: [
        {
          mediaType: 'application/vnd.in-toto+json',
          digest: statement!.descriptor.digest,
          size: statement!.bytes.length,
          annotations: { 'in-toto.io/predicate-type': 'https://example.com/v1' },
        },
      ],
      subject: { mediaType, digest, size },
    });
    const sha256 = digestHex(digest);
    assert.deepEqual(json(statement!.bytes), {
      _type: 'https://in-toto.io/Statement/v1',
      predicateType: 'https://example.com/v1',
      subject: [
        { name: 'pkg:docker/app@1?platform=linux%2Famd64', digest: { sha256 } },
        { name: 'pkg:docker/localhost%3A5000/app@2?platform=linux%2Famd64', digest: { sha256 } },
      ],
      predicate: { a: 1 },
    });
    for (const blob of imageBlobs(image)) {
      assert.equal((await rig.content.stat(blob.digest))?.size, blob.size);
    }
    assert.equal(imageBlobs(image).length, 7);
  });

  test('has, for registries without artifacts, an image for no platform instead', async () => {
    const { platforms } = await write([made({})], { attributes: { 'oci-artifact': 'false' } });
    const { manifest, config, statements } = platforms[0]!.attestations!;
    assert.deepEqual(Object.keys(json(manifest.bytes)), ['schemaVersion', 'mediaType', 'config', 'layers']);
    assert.equal(
      Buffer.from(config.bytes).toString(),
      `{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":["${statements[0]!.descriptor.digest}"]}}`,
    );
  });

  test('is none where all attestations are for inside of images only', async () => {
    const inlineOnly = made({}, { inlineOnly: true });
    const plain = await write([inlineOnly]);
    assert.equal(plain.root, plain.platforms[0]!.manifest);
    assert.equal(plain.platforms[0]!.attestations, undefined);
    for (const image of [
      await write([inlineOnly, made({})]),
      await write([inlineOnly, inlineOnly], { inlineAttestations: true }),
      await write([inlineOnly, inlineOnly], { attributes: { 'attestation-inline': 'true' } }),
    ]) {
      assert.equal(image.platforms[0]!.attestations?.statements.length, 2);
    }
  });

  test('cannot be written with media types that have no place for attestations, unless nobody insists on them', async () => {
    const attributes = { 'oci-mediatypes': 'false' };
    await assert.rejects(write([made({})], { attributes }), {
      code: 'invalid_argument',
      message: 'cannot export attestations with "oci-mediatypes=false"',
    });
    const plain = await write([made({}, { inlineOnly: true })], { attributes, inlineAttestations: true });
    assert.equal(plain.root, plain.platforms[0]!.manifest);
    assert.throws(() => parseImageOptions({ ...attributes, 'oci-artifact': 'true' }), /conflicts/);
  });

  test('has the attestations of each of its platforms', async () => {
    const results = ['linux/amd64', 'linux/arm64'].map((key) =>
      rig.result(tree, { key, platform: parsePlatform(key), attestations: [made({ key })] }),
    );
    const input = rig.input(results);
    const options = settleImageOptions(parseImageOptions({ name: 'app' }), input, 'image');
    const image = await writeImage(input, options, rig, rig.context);
    const entries: readonly { annotations?: Record<string, string>; digest: string }[] = json(
      image.root.bytes,
    ).manifests;
    assert.deepEqual(
      entries.slice(2).map((entry) => entry.annotations?.['vnd.docker.reference.digest']),
      entries.slice(0, 2).map((entry) => entry.digest),
    );
  });

  test('says in its SBOM which layer each file came with', async () => {
    const document = {
      spdxVersion: 'SPDX-2.3',
      unknown: { kept: true },
      files: [
        { fileName: '/etc/motd' },
        { fileName: 'etc/motd', comment: 'mine' },
        { fileName: 'etc/missing' },
        null,
      ],
      creationInfo: { creators: ['Tool: scanner'] },
    };
    const sbom = { predicateType: spdxPredicateType, path: 'sbom.spdx.json', sbomCore: 'sbom' };
    const { platforms } = await write([
      made({ spdxVersion: 'SPDX-2.3', files: [{ fileName: 'etc/motd' }] }, { ...sbom, path: 'sbom-x.json' }),
      made(document, sbom),
      made({ ...document, spdxVersion: 'SPDX-9' }, sbom),
    ]);
    const [platform] = platforms;
    const predicates = platform!.attestations!.statements.map(({ bytes }) => json(bytes).predicate);
    const comment = `layerID: ${platform!.layers[0]!.descriptor.digest}`;
    assert.deepEqual(predicates, [
      {
        ...document,
        files: [{ fileName: '/etc/motd', comment }, ...document.files.slice(1)],
        creationInfo: { creators: ['Tool: scanner', 'Tool: kiln-test'] },
      },
      { ...document, spdxVersion: 'SPDX-9' },
      { spdxVersion: 'SPDX-2.3', files: [{ fileName: 'etc/motd' }] },
    ]);
  });
});
