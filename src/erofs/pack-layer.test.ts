import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Random } from '../base/testing/random.ts';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { toByteString } from '../base/text/byte-string.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { mknod } from '../linux/mknod.ts';
import { unmount } from '../linux/mount.ts';
import { mountOverlay } from '../linux/overlay.ts';
import { setXattr } from '../linux/xattr.ts';
import { DirectoryTreeMaker } from '../tree/directory-tree-maker.ts';
import { type PackLayerInput, packLayer } from './pack-layer.ts';
import { assertSameTrees } from './testing/compare-trees.ts';
import { checkImage, withMounted } from './testing/image-rig.ts';
import { makeRandomTree } from './testing/random-tree.ts';

const newDirectory = temporaryDirectories();

/** Fills a directory with a layer, with all that a step can leave in one. */
function makeLayer(directory: string, seed: number): void {
  mkdirSync(directory);
  using maker = new DirectoryTreeMaker(toByteString(directory));
  makeRandomTree(maker, new Random(seed), { isUnlimited: false, blockSize: 4096 });
  mknod(path.join(directory, 'socket'), 0o140640);
  writeFileSync(path.join(directory, 'marked'), 'data');
  setXattr(path.join(directory, 'marked'), 'trusted.overlay.origin', Buffer.from('origin'));
  setXattr(
    path.join(directory, 'marked'),
    'security.capability',
    Buffer.from('0000000200040000000000000000000000000000', 'hex'),
  );
}

function withOverlay(target: string, lowerDirs: readonly string[], look: () => void): void {
  mkdirSync(target);
  mountOverlay({ lowerDirs }, target);
  try {
    look();
  } finally {
    unmount(target);
  }
}

test('a layer as an image is the same layer, also in an overlay over another one', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const directory = newDirectory();
    const at = (name: string) => path.join(directory, name);
    makeLayer(at('upper'), seed);
    makeLayer(at('lower'), seed + 1000);
    packLayer({ directory: at('upper'), image: at('upper-image') });
    packLayer({ directory: at('lower'), image: at('lower-image') });
    checkImage(at('upper-image'));
    withMounted(at('upper-image'), (upper) => {
      assertSameTrees(upper, at('upper'));
      withMounted(at('lower-image'), (lower) => {
        withOverlay(at('plain'), [at('upper'), at('lower')], () => {
          for (const lowerDirs of [
            [upper, lower],
            [upper, at('lower')],
            [at('upper'), lower],
          ]) {
            const images = path.join(newDirectory(), 'images');
            withOverlay(images, lowerDirs, () => assertSameTrees(images, at('plain')));
          }
        });
      });
    });
  }
});

test('a thread makes an image of a layer, and says why it cannot', async () => {
  const directory = newDirectory();
  const layer = path.join(directory, 'layer');
  makeLayer(layer, 5);
  await using pool = new ThreadPool();
  const pack = (input: PackLayerInput) => pool.run(new URL('./pack-layer.task.ts', import.meta.url), input);
  const image = path.join(directory, 'image');
  await pack({ directory: layer, image });
  withMounted(image, (root) => assertSameTrees(root, layer));
  await assert.rejects(pack({ directory: layer, image }), { code: 'already_exists' });
  await assert.rejects(
    pack({ directory: path.join(directory, 'none'), image: path.join(directory, 'other') }),
    {
      code: 'not_found',
    },
  );
});
