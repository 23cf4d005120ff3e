import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { type CraftedLayer, craftImage, digestOf, tarOf } from '../rig/crafted-image.ts';
import { Daemon } from '../rig/daemon.ts';
import { type Layout, openArchive } from '../rig/oci-archive.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const work = new WorkDirectory();
const daemon = await Daemon.start();
after(async () => {
  await daemon[Symbol.asyncDispose]();
  work[Symbol.dispose]();
});

/** Adds a layer beside those of the base, without looking at them. */
const onTop = work.tree({ Dockerfile: 'FROM base\nCOPY --link own /own\n', own: 'own' });
let count = 0;

function image(...layers: readonly CraftedLayer[]): string {
  const directory = work.at(`image-${count++}`);
  craftImage(directory, layers);
  return directory;
}

function on(base: string): readonly string[] {
  return ['--build-context', `base=oci-layout://${base}:latest`];
}

/** Builds on an image without unpacking it. */
async function buildLazily(base: string): Promise<Layout> {
  const archive = work.at(`archive-${count++}`);
  await daemon.kiln.build(onTop, [...on(base), '-o', `type=oci,dest=${archive}`]);
  return openArchive(archive, work);
}

/** The layer of a program, and one that takes its place; each test has its own, since they share a daemon. */
function layersOf(name: string): { readonly good: Uint8Array; readonly evil: Uint8Array } {
  const of = (data: string) =>
    tarOf([
      { name, data: '' },
      { name: 'program', data },
    ]);
  return { good: of('good'), evil: of('backdoor') };
}

async function programOn(base: string): Promise<string> {
  const dest = work.at(`files-${count++}`);
  await daemon.kiln.build(onTop, [...on(base), '-o', `type=local,dest=${dest}`]);
  return readFileSync(path.join(dest, 'program'), 'utf8');
}

test('an image that claims the layers of another one gives it nothing', async () => {
  const { good, evil } = layersOf('first');
  const above = tarOf([{ name: 'more', data: 'more' }]);
  const forged = image({ tar: evil, diffId: digestOf(good) }, { tar: above });
  const genuine = image({ tar: good }, { tar: above });
  await buildLazily(forged);
  const built = await buildLazily(genuine);
  assert.deepEqual(
    built.manifest.layers.slice(0, 2).map(({ digest }) => digest),
    [digestOf(good), digestOf(above)],
  );
  assert.equal(await programOn(genuine), 'good');
});

test('a layer that is not what its image claims fails the build that unpacks it, again and again, and no other', async () => {
  const { good, evil } = layersOf('second');
  const forged = image({ tar: evil, diffId: digestOf(good) });
  const failure = `layer ${digestOf(evil)} unpacks to ${digestOf(evil)}, but the image config names ${digestOf(good)}`;
  for (let attempt = 0; attempt < 2; attempt++) {
    const { stderr } = await daemon.kiln.failingBuild(onTop, [...on(forged), '-o', 'type=local,dest=-']);
    assert.ok(stderr.includes(failure), stderr);
  }
  assert.equal(await programOn(image({ tar: good })), 'good');
});

test('what one manifest says of a layer is not said of it for others', async () => {
  const { good } = layersOf('third');
  const genuine = image({ tar: good });
  const withheld = image({
    tar: good,
    descriptor: {
      mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
      urls: ['http://127.0.0.1:1/stolen'],
      annotations: { note: 'of another image' },
    },
  });
  await buildLazily(withheld);
  assert.equal(await programOn(withheld), 'good');
  const { manifest } = await buildLazily(genuine);
  assert.deepEqual(manifest.layers[0], {
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest: digestOf(good),
    size: good.length,
  });
});
