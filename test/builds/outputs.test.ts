import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { describeTree } from '../rig/file-tree.ts';
import { openArchive, readLayout, unpackFiles } from '../rig/oci-archive.ts';
import { mustRun } from '../rig/run-program.ts';
import { daemonRig } from '../rig/suite-rig.ts';

const dockerfile = `
FROM base AS made
RUN mkdir -p /out/sub && echo one > /out/one && echo two > /out/sub/two && \\
    chmod 4755 /out/one && chown 7:8 /out/sub/two && ln -s one /out/link && ln /out/one /out/hard
FROM scratch
COPY --from=made /out /
CMD ["/one"]
`;

/** What the Dockerfile makes, in every form. Plain files on the client's side belong to the client. */
function assertFiles(directory: string, owner = '7:8'): void {
  const files = describeTree(directory);
  const one = files.one;
  assert.match(one ?? '', /^file 4755 0:0 sha256:/);
  assert.deepEqual(files, {
    hard: one,
    link: 'link 0:0 -> one',
    one,
    sub: 'directory 0755 0:0',
    'sub/two': files['sub/two'],
  });
  assert.match(files['sub/two'] ?? '', new RegExp(`^file 0644 ${owner} sha256:`));
}

describe('a result', () => {
  const rig = daemonRig();
  let context: string;
  before(() => {
    context = rig.work.tree({ Dockerfile: dockerfile });
  });

  test('goes to a directory as plain files', async () => {
    const out = rig.work.at('local');
    await rig.kiln.build(context, ['-o', out]);
    assertFiles(out, '0:0');
  });

  test('goes to a tar file, and as the same bytes to standard output', async () => {
    const file = rig.work.at('result.tar');
    await rig.kiln.build(context, ['-o', `type=tar,dest=${file}`]);
    const { bytes } = await rig.kiln.build(context, ['-o', '-']);
    assert.ok(bytes.equals(readFileSync(file)));
    const out = rig.work.tree({});
    await mustRun('tar', ['-xpf', file, '-C', out]);
    assertFiles(out);
  });

  test('goes to an OCI archive, and as the same image to standard output', async () => {
    const file = rig.work.at('image.tar');
    await rig.kiln.build(context, ['-t', 'team/app:1', '-o', `type=oci,dest=${file}`]);
    const layout = await openArchive(file, rig.work);
    assert.equal(layout.tag, '1');
    assert.deepEqual(layout.image.config.Cmd, ['/one']);
    assertFiles(await unpackFiles(layout, rig.work));

    const { bytes } = await rig.kiln.build(context, ['-t', 'team/app:1', '-o', 'type=oci']);
    const piped = rig.work.at('piped.tar');
    writeFileSync(piped, bytes);
    assert.equal((await openArchive(piped, rig.work)).manifestDigest, layout.manifestDigest);
  });

  test('goes to a directory as an OCI layout', async () => {
    const out = rig.work.at('layout');
    await rig.kiln.build(context, ['-t', 'app:2', '-o', `type=oci,tar=false,dest=${out}`]);
    assertFiles(await unpackFiles(readLayout(out), rig.work));
  });

  test('goes to an archive for docker load, as skopeo reads it', async () => {
    const file = rig.work.at('docker.tar');
    await rig.kiln.build(context, ['-t', 'team/app:3', '-o', `type=docker,dest=${file}`]);
    const entries = (await mustRun('tar', ['-tf', file])).stdout.split('\n');
    assert.ok(entries.includes('manifest.json'), entries.join());
    const manifest = JSON.parse((await mustRun('tar', ['-xOf', file, 'manifest.json'])).stdout);
    assert.deepEqual(manifest[0].RepoTags, ['team/app:3']);

    const copy = rig.work.at('from-docker');
    await mustRun('skopeo', ['copy', '--quiet', `docker-archive:${file}`, `oci:${copy}:x`]);
    assertFiles(await unpackFiles(readLayout(copy), rig.work));
  });

  test('goes to a registry with type=image,push=true', async () => {
    await using registry = await startRegistry();
    const name = `${registry.host}/app:4`;
    const metadata = rig.work.at('pushed.json');
    await rig.kiln.build(context, [
      '--metadata-file',
      metadata,
      '-o',
      `type=image,name=${name},push=true,oci-mediatypes=true`,
    ]);
    const copy = rig.work.at('from-registry');
    await mustRun('skopeo', [
      'copy',
      '--quiet',
      '--src-tls-verify=false',
      `docker://${name}`,
      `oci:${copy}:x`,
    ]);
    const layout = readLayout(copy);
    assertFiles(await unpackFiles(layout, rig.work));
    assert.equal(JSON.parse(readFileSync(metadata, 'utf8'))['containerimage.digest'], layout.manifestDigest);
  });

  test('goes to several places at once, under several names', async () => {
    await using registry = await startRegistry();
    const out = rig.work.at('several');
    const archive = rig.work.at('several.tar');
    const { bytes } = await rig.kiln.build(context, [
      ...['-t', `${registry.host}/app:a`, '-t', `${registry.host}/app:b`],
      ...['-o', `type=local,dest=${out}`],
      ...['-o', `type=oci,dest=${archive}`],
      ...['-o', 'type=image,push=true'],
      ...['-o', 'type=tar,dest=-'],
    ]);
    assertFiles(out, '0:0');
    const { manifestDigest } = await openOne(archive);
    const untarred = rig.work.tree({});
    await mustRun('tar', ['-xpf', '-', '-C', untarred], { input: bytes });
    assertFiles(untarred);
    for (const tag of ['a', 'b']) {
      const { stdout } = await mustRun('skopeo', [
        'inspect',
        '--tls-verify=false',
        `docker://${registry.host}/app:${tag}`,
      ]);
      assert.equal(JSON.parse(stdout).Digest, manifestDigest);
    }
  });

  /** An archive with one image under several names has an index entry for each. */
  async function openOne(archive: string): Promise<{ readonly manifestDigest: string }> {
    const index = JSON.parse((await mustRun('tar', ['-xOf', archive, 'index.json'])).stdout) as {
      readonly manifests: readonly { readonly digest: string }[];
    };
    const digests = new Set(index.manifests.map(({ digest }) => digest));
    assert.equal(digests.size, 1);
    return { manifestDigest: [...digests][0]! };
  }

  test('replaces nothing in a directory but what it has itself', async () => {
    const out = rig.work.tree({ mine: 'kept', one: 'old' });
    await rig.kiln.build(context, ['-o', out]);
    assert.equal(readFileSync(`${out}/mine`, 'utf8'), 'kept');
    assert.equal(readFileSync(`${out}/one`, 'utf8'), 'one\n');
  });
});
