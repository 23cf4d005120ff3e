/**
 * Makes an OCI image layout of what this machine has: a static busybox with its commands. Usage: make-base-layout.ts DIR [busybox].
 * The image is tagged `latest`; equal busyboxes give equal digests.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export function makeBaseLayout(directory: string, busybox = '/bin/busybox'): void {
  const tree = mkdtempSync(path.join(tmpdir(), 'kiln-base-'));
  try {
    const layer = tarOf(makeTree(tree, busybox));
    const blobs = path.join(directory, 'blobs', 'sha256');
    mkdirSync(blobs, { recursive: true });
    const put = (data: string | Uint8Array, mediaType: string) => {
      const hex = createHash('sha256').update(data).digest('hex');
      writeFileSync(path.join(blobs, hex), data);
      return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(data) };
    };
    const layerDescriptor = put(layer, 'application/vnd.oci.image.layer.v1.tar');
    const config = put(
      JSON.stringify({
        architecture: { x64: 'amd64', ia32: '386' }[process.arch as string] ?? process.arch,
        os: 'linux',
        config: {
          Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
          Cmd: ['/bin/sh'],
        },
        rootfs: { type: 'layers', diff_ids: [layerDescriptor.digest] },
        history: [{ created_by: 'busybox-static', created: '1970-01-01T00:00:00Z' }],
      }),
      'application/vnd.oci.image.config.v1+json',
    );
    const manifest = put(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config,
        layers: [layerDescriptor],
      }),
      'application/vnd.oci.image.manifest.v1+json',
    );
    writeFileSync(path.join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    writeFileSync(
      path.join(directory, 'index.json'),
      JSON.stringify({
        schemaVersion: 2,
        manifests: [{ ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } }],
      }),
    );
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function makeTree(tree: string, busybox: string): string {
  for (const name of ['bin', 'etc', 'root', 'usr/bin', 'usr/sbin', 'sbin', 'tmp', 'var']) {
    mkdirSync(path.join(tree, name), { recursive: true });
  }
  chmodSync(path.join(tree, 'tmp'), 0o1777);
  cpSync(busybox, path.join(tree, 'bin/busybox'));
  chmodSync(path.join(tree, 'bin/busybox'), 0o755);
  const commands = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  for (const command of commands) {
    if (command !== 'busybox') symlinkSync('/bin/busybox', path.join(tree, 'bin', command));
  }
  writeFileSync(
    path.join(tree, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  );
  writeFileSync(path.join(tree, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
  utimesSync(tree, 0, 0);
  return tree;
}

function tarOf(tree: string): Buffer {
  return execFileSync(
    'tar',
    [
      '--sort=name',
      '--mtime=@0',
      '--owner=0',
      '--group=0',
      '--numeric-owner',
      '--format=ustar',
      '-C',
      tree,
      '-cf',
      '-',
      '.',
    ],
    { maxBuffer: 1 << 30 },
  );
}

if (import.meta.main) {
  const [directory, busybox] = process.argv.slice(2);
  if (!directory) {
    console.error('usage: make-base-layout.ts DIR [busybox]');
    process.exit(2);
  }
  makeBaseLayout(path.resolve(directory), busybox);
}
