import type { Duplex } from 'node:stream';
import { decodeBytesMessage, encodeBytesMessage } from '../../api/bytes-message.ts';
import type { MessageStream } from '../../api/message-stream.ts';
import { deferred } from '../../base/async/lifetime.ts';

/**
 * Passes bytes between a socket (open to half-closing) and a call of `BytesMessage`s until both directions have ended, or
 * either breaks. Both are closed then.
 */
export async function forwardSocket(socket: Duplex, stream: MessageStream): Promise<void> {
  let writing = true;
  // Once reading has ended, a write may still fail, and then only these hear of it.
  socket.on('error', () => {});
  socket.once('close', () => {
    if (writing) stream[Symbol.asyncDispose]().then(undefined, () => {});
  });
  const receive = async () => {
    await fromStream(stream, socket);
    writing = false;
  };
  try {
    await Promise.all([receive(), toStream(socket, stream)]);
  } finally {
    socket.destroy();
    await stream[Symbol.asyncDispose]();
  }
}

async function fromStream(stream: MessageStream, socket: Duplex): Promise<void> {
  for await (const message of stream) {
    if (socket.write(decodeBytesMessage(message)) || socket.closed) continue;
    const room = deferred<void>();
    const go = () => room.resolve();
    socket.once('drain', go);
    socket.once('close', go);
    await room.promise;
    socket.off('drain', go);
    socket.off('close', go);
  }
  socket.end();
}

async function toStream(socket: Duplex, stream: MessageStream): Promise<void> {
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    await stream.send(encodeBytesMessage(chunk as Buffer));
  }
  await stream.closeSend();
}
