import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { encodeDefinition, files, scratch, toDefinition } from '../../src/llb/llb.ts';
import { type RegistryRig, startRegistry } from '../../src/registry/registry-rig.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { readBlob } from '../rig/oci-archive.ts';
import { mustRun } from '../rig/run-program.ts';
import { type DaemonRig, openDaemon, suiteRig } from '../rig/suite-rig.ts';

interface DescriptorJson {
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly os: string; readonly architecture: string };
}

interface ManifestJson {
  readonly artifactType?: string;
  readonly subject?: DescriptorJson;
  readonly config: DescriptorJson;
  readonly layers: readonly DescriptorJson[];
}

interface StatementJson {
  readonly predicateType: string;
  readonly subject: readonly { readonly name: string; readonly digest: { readonly sha256: string } }[];
  readonly predicate: {
    readonly name?: string;
    readonly files?: readonly { readonly comment?: string }[];
  };
}

const dockerfile = `
FROM base AS first
ARG BUILDKIT_SBOM_SCAN_STAGE=true
RUN echo made > /made
FROM scratch
ARG COLOR=red
COPY --from=first /made /made
COPY file /file
`;

/** A scanner that names the file /made of what it is shown. */
const scan = `
emit() {
  echo '{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://spdx.dev/Document",' > $BUILDKIT_SCAN_DESTINATION/$1.spdx.json
  echo '"predicate":{"spdxVersion":"SPDX-2.3","name":"'$2'","files":[{"fileName":"/made"}]}}' >> $BUILDKIT_SCAN_DESTINATION/$1.spdx.json
}
emit $(basename $BUILDKIT_SCAN_SOURCE) "$BUILDKIT_SCAN_TITLE $(cat $BUILDKIT_SCAN_SOURCE/made)"
for extra in $BUILDKIT_SCAN_SOURCE_EXTRAS/*; do emit $(basename $extra) "$(cat $extra/made)"; done
`;

describe('attestations', () => {
  const rig = suiteRig(
    async (resources): Promise<DaemonRig & { readonly registry: RegistryRig; readonly context: string }> => {
      const registry = resources.use(await startRegistry());
      const daemon = await openDaemon(resources);
      const { work, kiln } = daemon;
      const scanner = work.tree({
        Dockerfile: 'FROM base\nCOPY scan.sh /scan.sh\nENTRYPOINT ["sh", "/scan.sh"]\n',
        'scan.sh': scan,
      });
      await kiln.build(scanner, ['-t', `${registry.host}/scanner:1`, '--push']);
      return { ...daemon, registry, context: work.tree({ Dockerfile: dockerfile, file: 'data' }) };
    },
  );

  const asked = () => [
    '--sbom',
    `generator=${rig.registry.host}/scanner:1,TITLE=result:`,
    '--provenance',
    'mode=max',
  ];

  /** An image of the registry with all its blobs, as skopeo copies it. */
  async function pulled(name: string): Promise<string> {
    const directory = rig.work.at(`layout-${Math.random()}`);
    const from = `docker://${rig.registry.host}/${name}`;
    await mustRun('skopeo', ['copy', '--all', '--src-tls-verify=false', from, `oci:${directory}:latest`]);
    return directory;
  }

  function readAttested(directory: string) {
    const { manifests } = JSON.parse(readFileSync(path.join(directory, 'index.json'), 'utf8')) as {
      readonly manifests: readonly DescriptorJson[];
    };
    const index = readBlob<{ readonly manifests: readonly DescriptorJson[] }>(
      directory,
      manifests[0]!.digest,
    );
    const [image, attestation] = index.manifests;
    assert.equal(index.manifests.length, 2);
    return {
      image: image!,
      attestation: attestation!,
      manifest: readBlob<ManifestJson>(directory, attestation!.digest),
      layers: readBlob<ManifestJson>(directory, image!.digest).layers,
    };
  }

  test('are pushed with the image, and say of what it consists and how it was made', async () => {
    const { kiln, context, registry } = rig;
    const name = `${registry.host}/app:1`;
    await kiln.build(context, ['-t', name, '--push', '--build-arg', 'COLOR=blue', ...asked()]);
    const directory = await pulled('app:1');
    const { image, attestation, manifest, layers } = readAttested(directory);
    assert.deepEqual(attestation.platform, { architecture: 'unknown', os: 'unknown' });
    assert.deepEqual(attestation.annotations, {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': image.digest,
    });
    assert.equal(manifest.artifactType, 'application/vnd.docker.attestation.manifest.v1+json');
    assert.equal(manifest.subject?.digest, image.digest);
    const tags = await mustRun('skopeo', [
      'list-tags',
      '--tls-verify=false',
      `docker://${registry.host}/app`,
    ]);
    assert.deepEqual(JSON.parse(tags.stdout).Tags, ['1']);

    const statements = manifest.layers.map(({ digest }) => readBlob<StatementJson>(directory, digest));
    assert.deepEqual(
      statements.map(({ predicateType, predicate }) => [predicateType, predicate.name]),
      [
        ['https://spdx.dev/Document', 'result: made'],
        ['https://spdx.dev/Document', 'made'],
        ['https://slsa.dev/provenance/v1', undefined],
      ],
    );
    assert.deepEqual(
      manifest.layers.map(({ annotations }) => annotations?.['in-toto.io/predicate-type']),
      statements.map(({ predicateType }) => predicateType),
    );
    const purl = `pkg:docker/${encodeURIComponent(registry.host)}/app@1?platform=linux%2Famd64`;
    for (const { subject } of statements) {
      assert.deepEqual(subject, [{ name: purl, digest: { sha256: image.digest.replace('sha256:', '') } }]);
    }
    assert.deepEqual(
      statements.slice(0, 2).map(({ predicate }) => predicate.files?.[0]?.comment),
      [`layerID: ${layers[0]!.digest}`, undefined],
    );
  });

  test('are an image for no platform where registries know no artifacts', async () => {
    const { kiln, context, registry } = rig;
    const output = `type=image,name=${registry.host}/plain:1,push=true,oci-artifact=false`;
    await kiln.build(context, ['-o', output, ...asked()]);
    const directory = await pulled('plain:1');
    const { manifest } = readAttested(directory);
    assert.equal(manifest.subject, undefined);
    assert.equal(manifest.artifactType, undefined);
    const config = readBlob<Record<string, unknown>>(directory, manifest.config.digest);
    assert.equal(config.os, 'unknown');
    assert.deepEqual(
      (config.rootfs as { diff_ids: unknown }).diff_ids,
      manifest.layers.map(({ digest }) => digest),
    );
  });

  test('are files beside those of the result', async () => {
    const { kiln, context, work } = rig;
    const directory = work.at('files');
    await kiln.build(context, ['-o', `type=local,dest=${directory},attestation-prefix=about-`, ...asked()]);
    assert.deepEqual(readdirSync(directory).sort(), [
      'about-provenance.json',
      'about-sbom-first.spdx.json',
      'about-sbom.spdx.json',
      'file',
      'made',
    ]);
    const sbom = JSON.parse(
      readFileSync(path.join(directory, 'about-sbom.spdx.json'), 'utf8'),
    ) as StatementJson;
    assert.deepEqual(
      sbom.subject.map(({ name }) => name),
      ['file', 'made'],
    );
    const archive = work.at('files.tar');
    await kiln.build(context, ['-o', `type=tar,dest=${archive}`, ...asked()]);
    const { stdout } = await mustRun('tar', ['-tf', archive]);
    assert.deepEqual(stdout.trim().split('\n'), [
      'file',
      'made',
      'provenance.json',
      'sbom-first.spdx.json',
      'sbom.spdx.json',
    ]);
  });

  test('tell whether an image was built from a definition, wherever the image is', async () => {
    const { kiln, context, registry, work } = rig;
    const name = `${registry.host}/app:1`;
    const definition = ['--build-context', `base=oci-layout://${baseLayout().directory}:latest`];
    await kiln.build(context, ['-t', 'kept-only', '--build-arg', 'COLOR=blue', ...asked()]);
    const layout = `oci-layout://${await pulled('app:1')}:latest`;
    for (const image of [name, layout, 'kept-only']) {
      const { stdout } = await kiln.must([
        'verify',
        image,
        ...definition,
        '--build-arg',
        'COLOR=blue',
        context,
      ]);
      assert.match(stdout, / was built from this definition\n$/);
    }
    const changed = work.tree({ Dockerfile: dockerfile.replace('/file\n', '/other\n'), file: 'data' });
    const differing = await kiln.run(['verify', name, ...definition, '--label', 'a=b', changed]);
    assert.equal(differing.code, 1);
    assert.deepEqual(
      differing.stdout.split('\n').filter((line) => line.startsWith('  ')),
      [
        '  differs: build-arg:COLOR: the image has "blue", not none',
        '  differs: label:a: the image has none, not "b"',
        '  differs: Dockerfile, line 8: the image has "COPY file /file", not "COPY file /other"',
      ],
    );
  });

  test('of mode=min do not tell all, and without provenance nothing', async () => {
    const { kiln, context, registry } = rig;
    const name = `${registry.host}/min:1`;
    await kiln.build(context, ['-t', name, '--push', '--build-arg', 'COLOR=x', '--provenance', 'mode=min']);
    const definition = ['--build-context', `base=oci-layout://${baseLayout().directory}:latest`];
    const unsure = await kiln.run(['verify', name, ...definition, '--build-arg', 'COLOR=x', context]);
    assert.equal(unsure.code, 1);
    assert.match(unsure.stdout, /may have been built from this definition/);
    assert.match(unsure.stdout, /not told: build-arg:COLOR, which mode=max would name/);
    assert.match(unsure.stdout, /not told: the text of Dockerfile, which mode=max would have/);
    await kiln.build(context, ['-t', 'hostile', '--provenance', 'mode=max', '--label', 'a\x1b[2J=b']);
    const hostile = await kiln.run(['verify', 'hostile', ...definition, context]);
    assert.ok(
      hostile.stdout.includes('differs: label:a\\u001b[2J: the image has "b", not none\n'),
      hostile.stdout,
    );
    await kiln.build(context, ['-t', 'bare']);
    const none = await kiln.run(['verify', 'bare', context]);
    assert.equal(none.code, 1);
    assert.match(none.stdout, /has no provenance/);
    const missing = await kiln.run(['verify', `${registry.host}/missing:1`, context]);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /cannot read the provenance of .*not found/);
  });

  test('name the steps of a definition without a frontend', async () => {
    const { kiln, registry } = rig;
    const name = `${registry.host}/llb:1`;
    const definitionOf = (content: string) =>
      encodeDefinition(toDefinition(scratch().file(files().mkfile('/file', 0o644, Buffer.from(content)))));
    const input = definitionOf('data');
    await kiln.must(['build', '-t', name, '--push', '--provenance', 'mode=max'], { input });
    assert.match((await kiln.must(['verify', name], { input })).stdout, / was built from this definition/);
    const other = await kiln.run(['verify', name], { input: definitionOf('other') });
    assert.equal(other.code, 1);
    assert.match(other.stdout, /differs: \d of \d steps of the definition are not in the image/);
  });
});
