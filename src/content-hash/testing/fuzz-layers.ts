import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Random } from '../../base/testing/random.ts';
import { toByteString } from '../../base/text/byte-string.ts';
import { unmount } from '../../linux/mount.ts';
import { mountSnapshot } from '../../snapshot/mount-snapshot.ts';
import type { SnapshotMount } from '../../snapshot/snapshot.ts';
import { checksumTree } from '../checksum-tree.ts';
import { parseContentEntries } from '../content-entry.ts';
import { readFileContent } from '../entry-digests.ts';
import { pathSelection } from '../path-selection.ts';
import { makeLayer } from './random-layer.ts';

const mostLayers = 5;

/**
 * Makes layers of hostile files, and compares what is hashed of them unmounted with what is hashed of the kernel's mount. The seed
 * alone decides what is in them.
 */
export async function fuzzLayers(seed: number): Promise<void> {
  const random = new Random(seed);
  const dir = mkdtempSync(path.join(tmpdir(), 'kiln-layers-'));
  try {
    const layers: string[] = [];
    for (let count = 1 + random.below(mostLayers); layers.length < count; ) {
      const layer = path.join(dir, `layer${layers.length}`);
      mkdirSync(layer);
      makeLayer(layer, random);
      layers.unshift(layer);
    }
    const hashed = hashedOf(layers);
    for (const mount of mountsOf(layers, dir)) {
      const target = mkdtempSync(path.join(dir, 'mount-'));
      mountSnapshot(mount, target);
      try {
        assert.deepEqual(entriesOf(hashed), entriesOf(hashedOf([target])), `as ${JSON.stringify(mount)}`);
        assert.ok(hashed.equals(hashedOf([target])));
      } finally {
        unmount(target);
      }
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The ways in which a tree of these layers, topmost first, is mounted. */
function mountsOf(layers: readonly string[], dir: string): readonly SnapshotMount[] {
  const [only, ...others] = layers;
  if (others.length === 0) return [{ kind: 'bind', source: only!, readonly: true }];
  const upperDir = path.join(dir, 'upper');
  mkdirSync(upperDir);
  return [
    { kind: 'overlay', lowerDirs: layers },
    { kind: 'overlay', lowerDirs: others, upperDir: only!, workDir: path.join(dir, 'work') },
  ];
}

/** What a checksum of the whole tree tells of, and the checksum. */
function hashedOf(layers: readonly string[]): Buffer {
  const pieces: Buffer[] = [];
  const digest = checksumTree(
    layers.map(toByteString),
    pathSelection('/'),
    (entry) => readFileContent(entry, () => {}),
    (bytes) => pieces.push(bytes),
  );
  return Buffer.concat([...pieces, Buffer.from(digest)]);
}

function entriesOf(hashed: Buffer) {
  return parseContentEntries(hashed.subarray(hashed.indexOf(0) + 1));
}
