import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { KilnError } from '../base/errors.ts';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { createClientCredentials } from '../session/requests/client-credentials.ts';
import { openSessionRig } from '../session/session-rig.ts';
import { pipeWith } from './pipe-rig.ts';
import { secretsService } from './secrets-service.ts';

const newDir = temporaryDirectories();

test('secrets come from files and the environment, and one that is missing is said by name', async () => {
  const file = path.join(newDir(), 'secret');
  writeFileSync(file, Buffer.from([0, 255, 10]));
  process.env.KILN_TEST_SECRET = 'from the environment';
  await using rig = await openSessionRig([
    secretsService([
      { id: 'file', kind: 'file', path: file },
      { id: 'variable', kind: 'environment', variable: 'KILN_TEST_SECRET' },
      { id: 'gone', kind: 'file', path: `${file}-gone` },
    ]),
  ]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  const ids = [rig.session.id];
  assert.deepEqual(Buffer.from(await credentials.secret(ids, 'file')), Buffer.from([0, 255, 10]));
  assert.equal(Buffer.from(await credentials.secret(ids, 'variable')).toString(), 'from the environment');
  await assert.rejects(credentials.secret(ids, 'other'), (error: KilnError) => {
    assert.equal(error.code, 'not_found');
    assert.match(error.message, /"other"/);
    return true;
  });
  await assert.rejects(credentials.secret([], 'file'), { code: 'not_found' });
});

test('a secret that can be read only once is there each time, under each of its names', async () => {
  const pipe = pipeWith('echo hush', newDir());
  await using rig = await openSessionRig([
    secretsService([
      { id: 'one', kind: 'file', path: pipe },
      { id: 'two', kind: 'file', path: pipe },
    ]),
  ]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  const text = async (id: string) => Buffer.from(await credentials.secret([rig.session.id], id)).toString();
  assert.deepEqual(await Promise.all([text('one'), text('one')]), ['hush\n', 'hush\n']);
  assert.equal(await text('one'), 'hush\n');
  assert.equal(await text('two'), 'hush\n');
});

test('a secret that never ends is refused when it is too large', async () => {
  const sources = [pipeWith('yes', newDir()), '/dev/zero'].map(
    (file, index) => ({ id: `${index}`, kind: 'file', path: file }) as const,
  );
  await using rig = await openSessionRig([secretsService(sources)]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  for (const { id } of sources) {
    await assert.rejects(credentials.secret([rig.session.id], id), (error: KilnError) => {
      assert.match(error.message, /is larger than 512000 bytes/);
      return true;
    });
  }
});
