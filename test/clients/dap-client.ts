import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { eventually } from '../rig/eventually.ts';

/** A message of the Debug Adapter Protocol. */
export interface DapMessage {
  readonly seq: number;
  readonly type: 'request' | 'response' | 'event';
  readonly command?: string;
  readonly event?: string;
  readonly success?: boolean;
  readonly message?: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** An editor at the other end of a debug adapter, which is a program. Disposing it ends the program. */
export class DapClient implements AsyncDisposable {
  readonly #adapter: ChildProcessWithoutNullStreams;
  readonly #received: DapMessage[] = [];
  readonly #exited: Promise<number | null>;
  #input = Buffer.alloc(0);
  #sent = 0;
  #errors = '';

  constructor(program: string, args: readonly string[], environment: Readonly<Record<string, string>>) {
    this.#adapter = spawn(program, args, { env: { ...process.env, ...environment }, stdio: 'pipe' });
    this.#exited = new Promise((resolve) => this.#adapter.once('close', resolve));
    this.#adapter.stdin.on('error', () => {});
    this.#adapter.stderr.on('data', (data: Buffer) => {
      this.#errors += data.toString();
    });
    this.#adapter.stdout.on('data', (data: Buffer) => this.#read(data));
  }

  send(command: string, args: object = {}): void {
    this.#write({ type: 'request', command, arguments: args });
  }

  /** The answer to a request that the adapter has sent. */
  answer(request: DapMessage, body: object = {}): void {
    const { seq, command } = request;
    this.#write({ type: 'response', request_seq: seq, success: true, command, body });
  }

  /** The first message that is as it should be; waits for it. */
  async receive(isWanted: (message: DapMessage) => boolean): Promise<DapMessage> {
    return await eventually(
      () => this.#received.find(isWanted),
      () => ({ received: this.#received, errors: this.#errors }),
    );
  }

  async event(name: string): Promise<DapMessage> {
    return await this.receive(({ type, event }) => type === 'event' && event === name);
  }

  async response(command: string): Promise<DapMessage> {
    return await this.receive((message) => message.type === 'response' && message.command === command);
  }

  get exited(): Promise<number | null> {
    return this.#exited;
  }

  #write(message: object): void {
    const bytes = Buffer.from(JSON.stringify({ seq: ++this.#sent, ...message }));
    this.#adapter.stdin.write(`Content-Length: ${bytes.length}\r\n\r\n`);
    this.#adapter.stdin.write(bytes);
  }

  #read(data: Buffer): void {
    this.#input = Buffer.concat([this.#input, data]);
    for (;;) {
      const end = this.#input.indexOf('\r\n\r\n');
      const length = Number(/content-length: *(\d+)/i.exec(this.#input.subarray(0, end).toString())?.[1]);
      if (end < 0 || this.#input.length < end + 4 + length) return;
      this.#received.push(
        JSON.parse(this.#input.subarray(end + 4, end + 4 + length).toString()) as DapMessage,
      );
      this.#input = this.#input.subarray(end + 4 + length);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#adapter.kill('SIGKILL');
    await this.#exited;
  }
}
