import type { Socket } from 'node:net';
import { SocketDuplex } from '../base/socket-duplex.ts';

/**
 * A socket whose writes never wait for the peer to read. Node's HTTP/2 stops reading while a write is under way: two
 * Node processes that send each other much at once would end up both waiting for the other to read. One of the two, the
 * caller, therefore talks through this. What is buffered is bounded by the HTTP/2 windows of the peer.
 */
export class EagerSocket extends SocketDuplex {
  constructor(socket: Socket) {
    super(socket, { readableHighWaterMark: 1024 * 1024 });
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.socket.write(chunk);
    callback();
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    callback: (error?: Error | null) => void,
  ): void {
    this.socket.cork();
    for (const { chunk } of chunks) this.socket.write(chunk);
    this.socket.uncork();
    callback();
  }
}
