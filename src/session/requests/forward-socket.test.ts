import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { encodeBytesMessage } from '../../api/bytes-message.ts';
import type { MessageStream } from '../../api/message-stream.ts';
import { deferred } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import { forwardSocket } from './forward-socket.ts';

test('a program that has said everything may leave before it is answered', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'kiln-forward-'));
  const socketPath = path.join(directory, 'socket');
  const asked = deferred<void>();
  const left = deferred<void>();
  const canceled = deferred<never>();
  canceled.promise.catch(() => {});
  const stream: MessageStream = {
    send: async () => {},
    closeSend: async () => asked.resolve(),
    async *[Symbol.asyncIterator]() {
      await left.promise;
      for (let turn = 0; turn < 3; turn++) yield encodeBytesMessage(Buffer.alloc(1000));
      await canceled.promise;
    },
    async [Symbol.asyncDispose]() {
      canceled.reject(new KilnError('canceled', 'the call was canceled'));
    },
  };
  const server = createServer({ allowHalfOpen: true }).listen({ path: socketPath });
  await once(server, 'listening');
  try {
    const program = connect({ path: socketPath, allowHalfOpen: true });
    program.end('a question');
    const [socket] = await once(server, 'connection');
    const forwarded = forwardSocket(socket, stream);
    await asked.promise;
    program.destroy();
    await once(program, 'close');
    left.resolve();
    await assert.rejects(forwarded, { code: 'canceled' });
    assert.equal(socket.destroyed, true);
  } finally {
    await new Promise((resolve) => server.close(resolve));
    await rm(directory, { recursive: true });
  }
});
