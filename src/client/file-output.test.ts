import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openFileOutput } from './file-output.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kiln-output-'));
});
after(() => rm(directory, { recursive: true }));

test('an output is in its place once it is complete, and not before', async () => {
  const path = join(directory, 'image.tar');
  await writeFile(path, 'old');
  {
    await using abandoned = await openFileOutput({ kind: 'path', path });
    const stream = await abandoned.open();
    stream.end('half');
    await once(stream, 'finish');
  }
  assert.equal(await readFile(path, 'utf8'), 'old');
  {
    await using output = await openFileOutput({ kind: 'path', path });
    const stream = await output.open();
    stream.end('new');
    await once(stream, 'close');
    await output.commit();
  }
  assert.equal(await readFile(path, 'utf8'), 'new');
  assert.deepEqual(await readdir(directory), ['image.tar']);
});

test('a destination that cannot be a file is refused at once, one that fills up is told', async () => {
  await assert.rejects(openFileOutput({ kind: 'path', path: directory }), { code: 'invalid_argument' });
  await assert.rejects(openFileOutput({ kind: 'path', path: join(directory, 'no', 'file') }), {
    code: 'not_found',
  });
  await using full = await openFileOutput({ kind: 'path', path: '/dev/full' });
  const stream = await full.open();
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.write('data');
  await closed;
  assert.equal(full.failure?.code, 'resource_exhausted');
});
