import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { FrameSplitter, frameMessage } from './grpc-framing.ts';

test('messages are the same wherever the stream is cut', () => {
  const messages = [0, 1, 7, 300, 70_000].map((size) => Buffer.alloc(size, `${size}`));
  const stream = Buffer.concat(messages.map(frameMessage));
  for (const size of [1, 2, 5, 6, 1_000, 65_536, stream.length]) {
    const splitter = new FrameSplitter();
    const found: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size)
      found.push(...splitter.push(stream.subarray(at, at + size)));
    splitter.end();
    assert.deepEqual(found, messages, `in chunks of ${size}`);
  }
});

test('a message that comes byte by byte takes no more memory than another', async () => {
  const size = 2_000_000;
  const reading = `import(${JSON.stringify(new URL('./grpc-framing.ts', import.meta.url))})
    .then(({ FrameSplitter, frameMessage }) => {
      const splitter = new FrameSplitter();
      const frame = frameMessage(Buffer.alloc(${size}));
      for (let at = 0; at < frame.length; at++) splitter.push(frame.subarray(at, at + 1));
    });`;
  // A reference to each byte would take 200 MB.
  const thread = new Worker(reading, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 64 } });
  assert.deepEqual(await once(thread, 'exit'), [0]);
});
