import type { Socket } from 'node:net';
import { Duplex, type DuplexOptions } from 'node:stream';

/** A stream over a socket, which it owns: reads as the socket does. What a write becomes is for the class that extends it. */
export abstract class SocketDuplex extends Duplex {
  protected readonly socket: Socket;

  constructor(socket: Socket, options: DuplexOptions = {}) {
    super(options);
    this.socket = socket;
    socket.on('data', (chunk) => {
      if (!this.push(chunk)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    if (this.socket.isPaused()) this.socket.resume();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.socket.end(callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.socket.destroy();
    callback(error);
  }
}
