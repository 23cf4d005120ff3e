import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { addToLayoutIndex, resolveLayoutTag } from './layout-index.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kiln-layout-'));
});
after(() => rm(directory, { recursive: true }));

const image = (content: string) => ({ mediaType: 'm', digest: digestOf(content), size: 1 });
const isNotFound = (error: unknown) => error instanceof KilnError && error.code === 'not_found';

test('names are added to an index, and move from one image to the next', async () => {
  const layout = join(directory, 'new');
  await addToLayoutIndex(layout, image('a'), [
    { kind: 'image', name: 'registry.test:5000/app:1' },
    { kind: 'tag', tag: 'latest' },
  ]);
  assert.equal(await resolveLayoutTag(layout, '1'), digestOf('a'));
  assert.equal(await resolveLayoutTag(layout, 'registry.test:5000/app:1'), digestOf('a'));
  await addToLayoutIndex(layout, image('b'), [{ kind: 'tag', tag: 'latest' }]);
  assert.equal(await resolveLayoutTag(layout, 'latest'), digestOf('b'));
  assert.equal(await resolveLayoutTag(layout, '1'), digestOf('a'));
  assert.deepEqual((await readdir(layout)).sort(), ['index.json', 'oci-layout']);
  assert.deepEqual(JSON.parse(await readFile(join(layout, 'oci-layout'), 'utf8')), {
    imageLayoutVersion: '1.0.0',
  });
});

test('the only image of a layout is its latest one, named or not', async () => {
  const layout = await mkdtemp(join(directory, 'single-'));
  await writeFile(join(layout, 'index.json'), JSON.stringify({ manifests: [image('a')] }));
  assert.equal(await resolveLayoutTag(layout, 'latest'), digestOf('a'));
  await assert.rejects(resolveLayoutTag(layout, 'v1'), isNotFound);
});

test('what an index holds besides stays', async () => {
  const layout = await mkdtemp(join(directory, 'kept-'));
  const other = { ...image('other'), annotations: { 'org.opencontainers.image.ref.name': 'other', x: 'y' } };
  await writeFile(
    join(layout, 'index.json'),
    JSON.stringify({ manifests: [other], annotations: { of: 'index' } }),
  );
  await addToLayoutIndex(layout, image('a'), [{ kind: 'tag', tag: 'a' }]);
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'));
  assert.deepEqual(index.manifests[0], other);
  assert.deepEqual(index.annotations, { of: 'index' });
});

test('a directory that is no layout, or a broken one, is named', async () => {
  await assert.rejects(resolveLayoutTag(join(directory, 'nowhere'), 'latest'), isNotFound);
  const broken = await mkdtemp(join(directory, 'broken-'));
  await writeFile(join(broken, 'index.json'), '{');
  await assert.rejects(resolveLayoutTag(broken, 'latest'), { code: 'invalid_argument' });
  await assert.rejects(addToLayoutIndex(broken, image('a'), []), { code: 'invalid_argument' });
});
