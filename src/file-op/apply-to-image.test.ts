import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { mountImage } from '../erofs/mount-image.ts';
import { probeImageMounts } from '../erofs/probe-image-mounts.ts';
import { unmount } from '../linux/mount.ts';
import { FileOpRig } from './file-op-rig.ts';

/** More entries than a layer needs to be worth an image. */
const many =
  'mkdir -p d/e; for i in $(seq 600); do echo $i > d/e/$i; done; ln -s e d/link; ln d/e/1 d/hard; mkfifo d/fifo; chmod 4711 d/e/2; chmod 1777 d/e; chown 5:6 d/e/3; touch -hd @5 d d/*';
const format = '%P %y %m %U:%G %n %l';

async function withImage(rig: FileOpRig, look: (root: string) => void): Promise<void> {
  const mounted = path.join(rig.dir, 'mounted');
  mkdirSync(mounted);
  mountImage(rig.image, mounted, { by: probeImageMounts() });
  try {
    look(mounted);
  } finally {
    unmount(mounted);
  }
}

test('a copy of many files makes an image of the layer, with what it would have put into its directory', async () => {
  await using rig = new FileOpRig().make(many);
  await using other = new FileOpRig().make(many);
  const copies = [
    { src: '/d', dest: '/to/here' },
    { src: '/d/e/*', dest: '/flat/', allowWildcard: true },
  ];
  await rig.copyToLayer(copies, { mayMakeImage: true });
  await other.copyToLayer(copies);
  assert.deepEqual(rig.found(), []);
  await withImage(rig, (root) => {
    assert.deepEqual(rig.found(format, root), other.found(format));
    assert.equal(readFileSync(path.join(root, 'flat/599'), 'utf8'), '599\n');
  });
});

test('few files, what needs a mount, and what fails, are written to the directory', async () => {
  await using few = new FileOpRig().make(many);
  await few.copyToLayer([{ src: '/d/e/1', dest: '/one' }], { mayMakeImage: true });
  assert.deepEqual(few.found(), ['one']);
  await using hidden = new FileOpRig().make(many);
  const lower = path.join(hidden.dir, 'lower');
  mkdirSync(path.join(lower, 'to/e'), { recursive: true });
  const copies = [
    { src: '/d/e/1', dest: '/first' },
    { src: '/d', dest: '/to', dirCopyContents: true },
  ];
  assert.equal(await hidden.copyToLayer(copies, { mayMakeImage: true, lowerDirs: [lower] }), 1);
  assert.deepEqual(hidden.found(), ['first']);
  await using failing = new FileOpRig().make(many);
  await assert.rejects(
    failing.copyToLayer(
      [
        { src: '/d', dest: '/to' },
        { src: '/none', dest: '/to' },
      ],
      { mayMakeImage: true },
    ),
    { position: 1 },
  );
  assert.ok(failing.has('to/e/600'));
  for (const rig of [few, hidden, failing]) assert.equal(existsSync(rig.image), false);
});

test('a copy that is cancelled leaves no image', async () => {
  await using rig = new FileOpRig().make(many);
  const over = new AbortController();
  const copying = rig.copyToLayer([{ src: '/d', dest: '/to' }], { mayMakeImage: true, signal: over.signal });
  over.abort();
  await assert.rejects(copying);
  assert.equal(existsSync(rig.image), false);
  assert.deepEqual(rig.found(), []);
});
