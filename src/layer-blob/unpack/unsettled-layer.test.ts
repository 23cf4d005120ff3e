import assert from 'node:assert/strict';
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import { type ByteString, toByteString } from '../../base/text/byte-string.ts';
import { DirectoryTreeMaker } from '../../tree/directory-tree-maker.ts';
import type { FoundEntry } from '../../tree/tree.ts';
import { DifferRig, hasCode, makeTar, openPlace, plainEntry, putBlob } from '../layer-differ-rig.ts';
import { LayerExtractor } from './layer-extractor.ts';
import { settleLayer } from './unsettled-layer.ts';

const rig = new DifferRig();
after(() => rig[Symbol.asyncDispose]());
const { differ } = rig;

/** Counts what is looked at. */
class WatchedLayer extends DirectoryTreeMaker {
  looks = 0;

  override lookup(path: ByteString): FoundEntry | undefined {
    this.looks++;
    return super.lookup(path);
  }

  override isOpaque(path: ByteString): boolean {
    this.looks++;
    return super.isOpaque(path);
  }
}

test('how much is looked at grows with the depth of a layer, not with its square', async () => {
  using here = await openPlace();
  const depth = 400;
  const names = Array.from({ length: 50 }, (_, index) => `${'d/'.repeat(depth)}.wh.${index}`);
  const below = here.dir('below');
  mkdirSync(join(below, 'd/'.repeat(depth / 2)), { recursive: true });
  using layer = new WatchedLayer(toByteString(here.dir('own')));
  const extractor = new LayerExtractor({ form: 'overlay', tree: layer });
  for (const name of names) {
    extractor.entry({ ...plainEntry, name, type: 'file' });
    extractor.entryEnd();
  }
  settleLayer(layer, extractor.finish()!, [below]);
  assert.ok(layer.looks < 5 * (depth + names.length), `${layer.looks} looks`);
  assert.deepEqual(readdirSync(join(here.path, 'own', 'd/'.repeat(depth))), []);
});

test('what is to be settled waits in a file, which is removed when the layer is complete or has failed', async () => {
  using here = await openPlace();
  const blob = await putBlob(here.store, makeTar([{ name: 'implied/file', data: 'x' }]));
  const waiting = () =>
    readdirSync(here.store.temporaryDirectory).filter((name) => name.startsWith('unsettled-'));
  let waited = 0;
  await differ.apply(blob, here.store, {
    dir: here.dir('own'),
    form: 'overlay',
    below: async () => {
      waited = waiting().length;
      return [here.dir('below')];
    },
  });
  assert.equal(waited, 1);
  assert.deepEqual(waiting(), []);
  const below = () => Promise.reject(new KilnError('unavailable', 'no layer below'));
  const failed = differ.apply(blob, here.store, { dir: here.dir('other'), form: 'overlay', below });
  await assert.rejects(failed, hasCode('unavailable'));
  assert.deepEqual(waiting(), []);
});

test('directories that nobody describes are of the same owner in a tree and in an overlay', async () => {
  using here = await openPlace();
  const [tree, below, own] = [here.dir('tree'), here.dir('below'), here.dir('own')];
  for (const dir of [tree, below]) {
    mkdirSync(join(dir, 'shared'));
    chownSync(join(dir, 'shared'), 0, 50);
    chmodSync(join(dir, 'shared'), 0o2775);
  }
  const blob = await putBlob(here.store, makeTar([{ name: 'shared/new/file', data: 'x' }]));
  await differ.apply(blob, here.store, { dir: tree, form: 'tree' });
  await differ.apply(blob, here.store, { dir: own, form: 'overlay', below: async () => [below] });
  for (const dir of [tree, own]) {
    const { mode, gid } = lstatSync(join(dir, 'shared'));
    assert.deepEqual([mode & 0o7777, gid], [0o2775, 50]);
    const { mode: newMode, uid, gid: newGid } = lstatSync(join(dir, 'shared/new'));
    assert.deepEqual([newMode & 0o7777, uid, newGid], [0o755, 0, 0], dir);
  }
});
