import { asKilnError, KilnError } from '../../base/errors.ts';
import type { ProcessControl, ProcessIo } from '../../executor/executor.ts';
import { InputQueue } from './input-queue.ts';
import { MessageQueue } from './message-queue.ts';
import { signalOf } from './signal-of.ts';

/** What a client of Kiln's own API says to a process. */
export type ClientMessage =
  | { readonly case: 'input'; readonly value: Uint8Array }
  | { readonly case: 'inputEnd'; readonly value: boolean }
  | { readonly case: 'resize'; readonly value: TerminalSize }
  | { readonly case: 'signal'; readonly value: string }
  | { readonly case: 'start'; readonly value: unknown }
  | { readonly case: undefined; readonly value?: undefined };

/** What it is told. */
export type ProcessMessage =
  | { readonly case: 'started'; readonly value: boolean }
  | { readonly case: 'output' | 'errorOutput'; readonly value: Uint8Array }
  | { readonly case: 'inputTaken'; readonly value: number }
  | { readonly case: 'exit'; readonly value: { readonly code: number; readonly outOfMemory: boolean } };

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

export interface Conversation {
  readonly terminal: TerminalSize | undefined;
  /** Whether the process has standard input. */
  readonly input: boolean;
  /** Ends the process. */
  readonly signal: AbortSignal;
}

/** The largest size of a terminal that makes sense. */
const maxTerminal = 10_000;

/**
 * Passes on what a client and a process say to each other until the process ends, which is the last message. `run` runs it. The process ends when the
 * reader leaves, or says what makes no sense.
 */
export async function* converse(
  requests: AsyncIterator<{ readonly message: ClientMessage }>,
  { terminal, input: hasInput, signal }: Conversation,
  run: (io: ProcessIo) => Promise<void>,
): AsyncGenerator<{ readonly message: ProcessMessage }> {
  const size = terminal && sizeOf(terminal);
  const output = new OutputQueue();
  const input = new InputQueue((bytes) => output.taken(bytes));
  const ended = new AbortController();
  const running = run({
    signal: AbortSignal.any([signal, ended.signal]),
    onOutput: (stream, data) => output.add(stream, data),
    dialog: {
      terminal: size,
      input: hasInput ? input.chunks() : undefined,
      onStarted(control) {
        output.started();
        void follow(requests, input, control).catch((error) => ended.abort(asKilnError(error)));
      },
    },
  })
    .then(
      () => ({ code: 0, outOfMemory: false }),
      (error) => exitOf(asKilnError(error)),
    )
    .finally(() => {
      output.end();
      input.end();
    });
  running.catch(() => {});
  try {
    yield* output.messages();
    yield { message: { case: 'exit', value: await running } };
  } finally {
    ended.abort(new KilnError('canceled', 'the caller has gone'));
    output.end();
    await running.catch(() => {});
  }
}

/** Does what the client says, until it says nothing more. Throws `invalid_argument`. */
async function follow(
  requests: AsyncIterator<{ readonly message: ClientMessage }>,
  input: InputQueue,
  control: ProcessControl,
): Promise<void> {
  for (;;) {
    const next = await requests.next();
    if (next.done) return;
    const { message } = next.value;
    switch (message.case) {
      case 'input':
        if (input.add(message.value)) {
          throw new KilnError('resource_exhausted', 'more input than the process takes was sent');
        }
        break;
      case 'inputEnd':
        input.end();
        break;
      case 'resize':
        control.resize(sizeOf(message.value));
        break;
      case 'signal': {
        const number = signalOf(message.value);
        if (number === undefined) {
          throw new KilnError('invalid_argument', `there is no signal ${JSON.stringify(message.value)}`);
        }
        control.signal(number);
        break;
      }
      case 'start':
        throw new KilnError('invalid_argument', 'a run is started once');
      case undefined:
        break;
    }
  }
}

/** Of a process that ran. Throws other failures. */
function exitOf(error: KilnError): { readonly code: number; readonly outOfMemory: boolean } {
  const exit = error.details.find((detail) => detail.kind === 'exit');
  if (error.code !== 'unknown' || !exit) throw error;
  return { code: exit.code, outOfMemory: exit.oom ?? false };
}

/** Throws `invalid_argument`. */
function sizeOf({ rows, columns }: TerminalSize): TerminalSize {
  if (rows > maxTerminal || columns > maxTerminal) {
    throw new KilnError('invalid_argument', `no terminal has ${columns} columns and ${rows} rows`);
  }
  return { rows, columns };
}

/** What is told the client. */
class OutputQueue {
  readonly #queue: MessageQueue<ProcessMessage>;
  /** Bytes of input that the client does not know to be taken: one message tells of however many. */
  #taken = 0;

  constructor() {
    this.#queue = new MessageQueue(() => this.#takenMessage());
  }

  started(): void {
    this.#queue.add({ case: 'started', value: true });
  }

  taken(bytes: number): void {
    this.#taken += bytes;
    this.#queue.wake();
  }

  /** Returns what to wait for when the client is slow. */
  add(stream: 1 | 2, value: Uint8Array): Promise<void> | undefined {
    return this.#queue.add({ case: stream === 1 ? 'output' : 'errorOutput', value }, value.length);
  }

  end(): void {
    this.#queue.end();
  }

  async *messages(): AsyncGenerator<{ readonly message: ProcessMessage }> {
    for await (const message of this.#queue.messages()) yield { message };
  }

  #takenMessage(): ProcessMessage | undefined {
    if (this.#taken === 0) return undefined;
    const value = this.#taken;
    this.#taken = 0;
    return { case: 'inputTaken', value };
  }
}
