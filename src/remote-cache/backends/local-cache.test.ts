import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { digestHex, digestOf } from '../../base/digest.ts';
import { temporaryDirectories } from '../../base/testing/temporary-directories.ts';
import { contentService } from '../../client-services/content-service.ts';
import { LayoutBlobs } from '../../client-services/layout-blobs.ts';
import { openSessionRig } from '../../session/session-rig.ts';
import { cacheBackendSuite } from './cache-backend-suite.ts';
import { createLocalCache } from './local-cache.ts';

const makeDirectory = temporaryDirectories();

async function start() {
  const directory = makeDirectory();
  const rig = await openSessionRig([contentService(new Map([[`local:${directory}`, directory]]))]);
  return { rig, directory, type: createLocalCache({ sessions: rig.sessions }) };
}

cacheBackendSuite('local', async () => {
  const { rig, directory, type } = await start();
  return {
    open: (purpose, written) =>
      purpose === 'export'
        ? type.open({ dest: directory }, purpose)
        : type.open(
            { src: directory, digest: written?.descriptor.digest ?? digestOf('not written') },
            purpose,
          ),
    sessions: [rig.session.id],
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
});

test('a local cache needs a directory, a digest to import, and its client', async () => {
  const { rig, directory, type } = await start();
  await using _rig = rig;
  assert.throws(() => type.open({}, 'export'), /local cache exporter requires dest/);
  assert.throws(() => type.open({ src: directory }, 'import'), /requires explicit digest/);
  assert.throws(() => type.open({ src: directory, digest: 'sha256:1' }, 'import'), /invalid digest/);
  assert.throws(() => type.open({ digest: digestOf('x') }, 'import'), /local cache importer requires src/);
  const backend = type.open({ src: directory, digest: digestOf('x') }, 'import');
  const access = { signal: AbortSignal.timeout(30_000), sessions: [] };
  await assert.rejects(async () => backend.readDocument('', undefined, access), /requires session/);
});

test('a manifest in the directory that is not what its name says is refused', async () => {
  const { rig, directory, type } = await start();
  await using _rig = rig;
  const digest = digestOf('the manifest');
  const writer = await new LayoutBlobs(directory).writer();
  await writer[Symbol.asyncDispose]();
  await writeFile(path.join(directory, 'blobs', 'sha256', digestHex(digest)), 'something else');
  const backend = type.open({ src: directory, digest }, 'import');
  const access = { signal: AbortSignal.timeout(30_000), sessions: [rig.session.id] };
  await assert.rejects(backend.readDocument('', undefined, access), /has other content/);
});
