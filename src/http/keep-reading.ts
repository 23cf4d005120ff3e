import type { Socket } from 'node:net';
import { networkCode } from './network-failure.ts';

type WriteDone = (error?: Error | null) => void;

/** The event of a socket that can no longer be written to, though it may still be read. */
export const writingBroke = 'writing-broke';

/**
 * Lets a new socket be read to its end when it can no longer be written to. A server that refuses a request while it is being sent
 * answers and closes. The next write then fails, for which Node destroys the socket, and the answer that has arrived would be lost.
 * With this, `writingBroke` is emitted at once, and the failure of the write is reported when nothing more can be read.
 */
export function keepReading(socket: Socket): void {
  const held = (done: WriteDone): WriteDone => {
    return (error) => {
      const closed = /^(EPIPE|ECONNRESET)$/.test(networkCode(error));
      if (!closed || socket.destroyed || socket.readableEnded) {
        done(error);
        return;
      }
      const tell = () => {
        socket.off('end', tell).off('close', tell);
        done(error);
      };
      socket.on('end', tell).on('close', tell);
      socket.emit(writingBroke);
    };
  };
  const { _write: write, _writev: writev } = socket;
  socket._write = (chunk, encoding, done) => write.call(socket, chunk, encoding, held(done));
  if (writev) socket._writev = (chunks, done) => writev.call(socket, chunks, held(done));
}
