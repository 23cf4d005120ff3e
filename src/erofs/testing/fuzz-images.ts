import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Random } from '../../base/testing/random.ts';
import { type ByteString, toByteString } from '../../base/text/byte-string.ts';
import { DirectoryTreeMaker } from '../../tree/directory-tree-maker.ts';
import { parentOf } from '../../tree/tree.ts';
import { ErofsTreeMaker } from '../erofs-tree-maker.ts';
import { fileTypes, typeMask } from '../format/layout.ts';
import { ErofsImage } from '../read/erofs-image.ts';
import { assertSameTrees } from './compare-trees.ts';
import { checkImage, withMounted } from './image-rig.ts';
import { type ModelNode, ModelTree } from './model-tree.ts';
import { makeRandomTree, type RandomTreeOptions } from './random-tree.ts';

/** One of so many trees is made in a directory as well, and compared with the kernel's view of the image. */
const mountedShare = 100;
/** Where it is cheap to make and delete files that nobody mounts. */
const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Makes the tree of a seed, and compares it with what it should be. */
export async function fuzzImage(seed: number): Promise<void> {
  const isMounted = seed % mountedShare === 0;
  const directory = mkdtempSync(path.join(isMounted ? tmpdir() : memory, 'kiln-fuzz-image-'));
  try {
    const blockSize = seed % 3 === 0 && !isMounted ? 512 : 4096;
    const options: RandomTreeOptions = { isUnlimited: !isMounted, blockSize };
    const image = path.join(directory, 'image');
    {
      using maker = new ErofsTreeMaker(image, { blockSize });
      makeRandomTree(maker, new Random(seed), options);
    }
    const model = new ModelTree();
    makeRandomTree(model, new Random(seed), options);
    compareWithModel(image, model);
    if (isMounted) compareThroughKernel(directory, image, seed, options);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function compareWithModel(file: string, model: ModelTree): void {
  using image = new ErofsImage(file);
  const positions = new Map<ModelNode, number>();
  const names = new Map<ByteString, ByteString[]>();
  for (const [name, wanted] of model.nodes) {
    const inode = image.find(name);
    assert.ok(inode, `there is no ${name}`);
    const type = wanted.type === 'whiteout' ? 'character-device' : wanted.type;
    assert.notEqual(type, 'hard-link');
    assert.deepEqual(
      {
        type: inode.mode & typeMask,
        mode: inode.mode & 0o7777,
        uid: inode.uid,
        gid: inode.gid,
        time: inode.time,
        device: BigInt(inode.device),
        links: inode.links,
        position: positions.get(wanted) ?? inode.position,
      },
      {
        type: fileTypes[type as keyof typeof fileTypes],
        mode: wanted.mode,
        uid: wanted.uid,
        gid: wanted.gid,
        time: wanted.time,
        device: wanted.device,
        links: wanted.links,
        position: inode.position,
      },
      name,
    );
    positions.set(wanted, inode.position);
    assert.deepEqual(new Map([...image.xattrs(inode)].sort()), new Map([...wanted.xattrs].sort()), name);
    if (type === 'file' || type === 'symlink')
      assert.ok(image.read(inode).equals(wanted.data), `data of ${name}`);
    if (type === 'directory') names.set(name, names.get(name) ?? []);
    if (name !== '') names.get(parentOf(name))!.push(name.slice(name.lastIndexOf('/') + 1));
  }
  for (const [directory, wanted] of names) assert.deepEqual(image.names(directory), wanted.sort(), directory);
  assert.equal(image.superblock.inodes, new Set(model.nodes.values()).size);
}

function compareThroughKernel(
  directory: string,
  image: string,
  seed: number,
  options: RandomTreeOptions,
): void {
  const plain = path.join(directory, 'plain');
  mkdirSync(plain);
  chmodSync(plain, 0o755);
  using maker = new DirectoryTreeMaker(toByteString(plain));
  makeRandomTree(maker, new Random(seed), options);
  checkImage(image);
  withMounted(image, (root) => assertSameTrees(root, plain));
}
