import assert from 'node:assert/strict';
import { createWriteStream, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { openSessionRig } from '../session/session-rig.ts';
import { createClientOutput } from './client-output.ts';
import { type ClientSink, fileSendService } from './file-send-service.ts';

const newDir = temporaryDirectories();
const pool = new ThreadPool({ size: 2 });
after(() => pool[Symbol.asyncDispose]());

test('a file output is written whole, with the response before it; one that is there already is said to be so', async () => {
  const dir = newDir();
  let told: Readonly<Record<string, string>> = {};
  await using rig = await openSessionRig([
    fileSendService(
      new Map<number, ClientSink>([
        [
          1,
          {
            kind: 'file',
            async open(response) {
              told = response;
              return createWriteStream(path.join(dir, 'out.tar'));
            },
          },
        ],
        [2, { kind: 'file', open: async () => undefined }],
      ]),
      { pool },
    ),
  ]);
  const output = createClientOutput(rig.sessions, { pool });
  const sessionId = rig.session.id;
  const signal = new AbortController().signal;
  const data = Buffer.alloc(5_000_000, 'abc');
  {
    await using file = await output.openFile(
      { sessionId, index: 1 },
      { 'containerimage.digest': 'sha256:1' },
      signal,
    );
    await file.write(data);
    await file.write(Buffer.from('end'));
    await file.close();
  }
  assert.deepEqual(told, { 'containerimage.digest': 'sha256:1' });
  assert.deepEqual(readFileSync(path.join(dir, 'out.tar')), Buffer.concat([data, Buffer.from('end')]));
  await assert.rejects(
    async () => {
      await using file = await output.openFile({ sessionId, index: 2 }, {}, signal);
      await file.write(data);
      await file.close();
    },
    { code: 'already_exists' },
  );
  await assert.rejects(
    async () => {
      await using file = await output.openFile({ sessionId, index: 3 }, {}, signal);
      await file.close();
    },
    { code: 'not_found' },
  );
});

test('an abandoned file output does not look complete to the client', async () => {
  const dir = newDir();
  const opened = Promise.withResolvers<ReturnType<typeof createWriteStream>>();
  await using rig = await openSessionRig([
    fileSendService(
      new Map([
        [
          0,
          {
            kind: 'file',
            async open() {
              const stream = createWriteStream(path.join(dir, 'out'));
              opened.resolve(stream);
              return stream;
            },
          },
        ],
      ]),
      { pool },
    ),
  ]);
  const output = createClientOutput(rig.sessions, { pool });
  {
    await using file = await output.openFile(
      { sessionId: rig.session.id, index: 0 },
      {},
      new AbortController().signal,
    );
    await file.write(Buffer.from('half'));
    await opened.promise;
  }
  const stream = await opened.promise;
  if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', () => resolve()));
  assert.equal(stream.writableFinished, false);
});

test('trees are copied into a directory, side by side, with the given time; mirror removes the rest', async () => {
  const [one, two, into, mirrored] = [newDir(), newDir(), newDir(), newDir()];
  mkdirSync(path.join(one, 'sub'));
  writeFileSync(path.join(one, 'sub/file'), 'one');
  writeFileSync(path.join(two, 'file'), 'two');
  for (const dir of [into, mirrored]) {
    mkdirSync(path.join(dir, 'old/deep'), { recursive: true });
    writeFileSync(path.join(dir, 'old/deep/file'), 'old');
  }
  await using rig = await openSessionRig([
    fileSendService(
      new Map([
        [0, { kind: 'directory', path: into, mirror: false }],
        [1, { kind: 'directory', path: mirrored, mirror: true }],
      ]),
      { pool },
    ),
  ]);
  const output = createClientOutput(rig.sessions, { pool });
  const options = { signal: new AbortController().signal, onProgress: () => {} };
  const trees = [
    { prefix: 'linux_amd64', path: two, epoch: 1000 },
    { prefix: 'empty', path: undefined, epoch: 1000 },
    { prefix: 'linux_arm64', path: one, epoch: 1000 },
  ];
  const target = { sessionId: rig.session.id, index: 0 };
  await output.sendTrees(target, trees, { ...options, deleteOthers: false });
  assert.deepEqual(readdirSync(into).sort(), ['empty', 'linux_amd64', 'linux_arm64', 'old']);
  assert.equal(readFileSync(path.join(into, 'linux_arm64/sub/file'), 'utf8'), 'one');
  assert.equal(statSync(path.join(into, 'linux_arm64/sub')).mtimeMs, 1_000_000);
  await output.sendTrees({ ...target, index: 1 }, trees, { ...options, deleteOthers: true });
  assert.deepEqual(readdirSync(mirrored).sort(), ['empty', 'linux_amd64', 'linux_arm64']);
  await assert.rejects(
    output.sendTrees({ ...target, index: 1 }, trees, { ...options, deleteOthers: false }),
    { code: 'unimplemented' },
  );
});
