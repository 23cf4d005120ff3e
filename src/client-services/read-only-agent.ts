import { SocketDuplex } from '../base/socket-duplex.ts';

/** Message numbers of the SSH agent protocol (draft-ietf-sshm-ssh-agent). */
const requestIdentities = 11;
const signRequest = 13;
const failure = Buffer.of(0, 0, 0, 1, 5);
const lengthBytes = 4;
const maximumLength = 256 * 1024;

/**
 * A connection to an SSH agent that passes on only requests to list keys and to sign: what runs in a build must not add,
 * remove or lock keys. Other requests are answered here, with the agent's "failure".
 */
export class ReadOnlyAgent extends SocketDuplex {
  #rest = Buffer.alloc(0);
  /** Whether there are more answers than the reader takes, and the write that waits until it takes them. */
  #full = false;
  #waiting: (() => void) | undefined;

  override _read(): void {
    this.#full = false;
    this.#waiting?.();
    this.#waiting = undefined;
    super._read();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const allowed: Buffer[] = [];
    while (this.#rest.length > lengthBytes) {
      const length = this.#rest.readUInt32BE(0);
      if (length === 0 || length > maximumLength) {
        callback(new Error(`an SSH agent request of ${length} bytes`));
        return;
      }
      if (this.#rest.length < lengthBytes + length) break;
      const number = this.#rest[lengthBytes];
      if (number === requestIdentities || number === signRequest) {
        allowed.push(this.#rest.subarray(0, lengthBytes + length));
      } else this.#full = !this.push(failure);
      this.#rest = this.#rest.subarray(lengthBytes + length);
    }
    const done = (error?: Error | null) => {
      if (this.#full && !error) this.#waiting = callback;
      else callback(error);
    };
    if (allowed.length === 0) done();
    else this.socket.write(Buffer.concat(allowed), done);
  }
}
