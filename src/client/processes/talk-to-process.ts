import { type Deferred, deferred } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';

/** The other side of a process that the engine runs. */
export interface ProcessUser {
  /** Until it ends; undefined: there is none. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Waits when it is slow. */
  output(stream: 1 | 2, data: Uint8Array): Promise<void>;
  /** Called when the process is about to start. */
  started(control: RunControl): void;
}

export interface RunControl {
  signal(name: NodeJS.Signals): void;
  resize(size: { readonly rows: number; readonly columns: number }): void;
}

type Request =
  | { readonly case: 'input'; readonly value: Uint8Array }
  | { readonly case: 'inputEnd'; readonly value: boolean }
  | { readonly case: 'resize'; readonly value: { readonly rows: number; readonly columns: number } }
  | { readonly case: 'signal'; readonly value: string };

export type ProcessAnswer =
  | { readonly case: 'started'; readonly value: boolean }
  | { readonly case: 'output' | 'errorOutput'; readonly value: Uint8Array }
  | { readonly case: 'inputTaken'; readonly value: number }
  | { readonly case: 'exit'; readonly value: ProcessEnd }
  | { readonly case: undefined; readonly value?: undefined };

export interface ProcessEnd {
  readonly code: number;
  readonly outOfMemory: boolean;
}

/** Bytes of input that may be under way. */
const maxUnderWay = 256 * 1024;
const inputPiece = 64 * 1024;

/** Passes on what both sides say, until the process ends. */
export async function talkToProcess(
  answers: AsyncIterable<{ readonly message: ProcessAnswer }>,
  queue: RequestQueue,
  user: ProcessUser,
): Promise<ProcessEnd> {
  let end: ProcessEnd | undefined;
  try {
    for await (const { message } of answers) {
      switch (message.case) {
        case 'started':
          user.started({
            signal: (name) => queue.add({ case: 'signal', value: name }),
            resize: (size) => queue.add({ case: 'resize', value: size }),
          });
          if (user.input) void feed(user.input, queue);
          break;
        case 'output':
          await user.output(1, message.value);
          break;
        case 'errorOutput':
          await user.output(2, message.value);
          break;
        case 'inputTaken':
          queue.taken(message.value);
          break;
        case 'exit':
          // It is the last message, but the call lasts until its end is read.
          end = message.value;
          queue.end();
          break;
        case undefined:
          break;
      }
    }
    if (end) return end;
    throw new KilnError('unavailable', 'the engine ended the run without saying how the process ended');
  } finally {
    queue.end();
  }
}

async function feed(input: AsyncIterable<Uint8Array>, queue: RequestQueue): Promise<void> {
  try {
    for await (const chunk of input) {
      for (let at = 0; at < chunk.length; at += inputPiece) {
        await queue.addInput(chunk.subarray(at, at + inputPiece));
        if (queue.hasEnded) return;
      }
    }
  } catch {
    // Input that fails has ended.
  }
  queue.add({ case: 'inputEnd', value: true });
}

/** What this side says. */
export class RequestQueue {
  readonly #pending: Request[] = [];
  #turn: Deferred<void> = deferred();
  #room: Deferred<void> = deferred();
  #underWay = 0;
  #ended = false;

  get hasEnded(): boolean {
    return this.#ended;
  }

  add(message: Request): void {
    if (this.#ended) return;
    this.#pending.push(message);
    this.#turn.resolve();
  }

  /** Resolves when there is room for more. */
  async addInput(value: Uint8Array): Promise<void> {
    this.#underWay += value.length;
    this.add({ case: 'input', value });
    while (this.#underWay > maxUnderWay && !this.#ended) {
      this.#room = deferred();
      await this.#room.promise;
    }
  }

  taken(bytes: number): void {
    this.#underWay -= bytes;
    this.#room.resolve();
  }

  end(): void {
    this.#ended = true;
    this.#turn.resolve();
    this.#room.resolve();
  }

  /** `first` starts the process. */
  async *messages<Start>(first: Start): AsyncGenerator<{ readonly message: Start | Request }> {
    yield { message: first };
    for (;;) {
      for (let next = this.#pending.shift(); next; next = this.#pending.shift()) yield { message: next };
      if (this.#ended) return;
      this.#turn = deferred();
      await this.#turn.promise;
    }
  }
}
