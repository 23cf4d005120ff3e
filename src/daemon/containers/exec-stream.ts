import type { MessageInitShape } from '@bufbuild/protobuf';
import { toStatus } from '../../api/error.ts';
import type { ExecMessage, ExecMessageSchema, InitMessage } from '../../api/gen/gateway_pb.js';
import { abortable, deferred } from '../../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { ProcessControl } from '../../executor/executor.ts';
import { containerProcess } from './container-message.ts';
import type { GatewayContainers } from './gateway-containers.ts';
import { InputBudget } from './input-budget.ts';
import { InputQueue } from './input-queue.ts';
import { MessageQueue } from './message-queue.ts';
import { signalOf } from './signal-of.ts';

type Message = MessageInitShape<typeof ExecMessageSchema>;
type Output = MessageQueue<Message>;

const stdin = 0;
const outputs = [1, 2] as const;
/** Bytes of input that the processes of a call have not taken: a client has no other way to learn that it is too fast than that nobody reads. */
const maxInput = 16 << 20;
const maxProcesses = 1_000;
/** The largest size of a terminal that makes sense, and the size of one of which the client has told none. */
const maxTerminal = 10_000;
const usualTerminal = { rows: 24, columns: 80 } as const;
/** The exit code of a process that has none. */
const unknownCode = 255;

/**
 * Serves one call of `ExecProcess`: any number of processes, in any of the client's containers. What is wrong with one process ends that one; what is
 * wrong with the messages ends the call, and its processes with it. They also end when `signal` aborts.
 */
export async function* execStream(
  requests: AsyncIterable<ExecMessage>,
  containers: GatewayContainers,
  signal: AbortSignal,
): AsyncGenerator<Message> {
  const output: Output = new MessageQueue();
  const ended = new AbortController();
  const alive = AbortSignal.any([signal, ended.signal]);
  const processes = new Map<string, ClientProcess>();
  const budget = new InputBudget(maxInput);
  const all = async () => {
    await Promise.all([...processes.values()].map((process) => process.ended));
  };
  const follow = async () => {
    for await (const message of requests) {
      await take(message, processes, { output, containers, budget, signal: alive });
    }
    for (const process of processes.values()) process.endInput();
    await all();
  };
  const stop = () => output.end(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  follow().then(
    () => output.end(),
    (error) => output.end(error),
  );
  try {
    yield* output.messages();
  } finally {
    signal.removeEventListener('abort', stop);
    ended.abort(
      new KilnError('canceled', 'context canceled: the call that the process belongs to has ended'),
    );
    output.end();
    await all();
  }
}

/** Does what the client says of one process. Throws for what makes no sense. */
async function take(
  { processId: id, body }: ExecMessage,
  processes: Map<string, ClientProcess>,
  call: ExecCall,
): Promise<void> {
  if (id === '') throw new KilnError('invalid_argument', 'ProcessID required');
  if (body.case === 'init') {
    if (processes.has(id)) throw new KilnError('already_exists', `Process ${id} already exists`);
    const running = [...processes.values()].filter(({ hasEnded }) => !hasEnded).length;
    if (running >= maxProcesses) {
      throw new KilnError('resource_exhausted', `${maxProcesses} processes run in one call`);
    }
    processes.set(id, new ClientProcess(id, body.value, call));
    return;
  }
  const process = processes.get(id);
  if (!process) throw new KilnError('not_found', `IO for process ${JSON.stringify(id)} not found`);
  switch (body.case) {
    case 'file':
      await process.takeInput(body.value);
      return;
    case 'resize':
      process.resize(body.value);
      return;
    case 'signal': {
      const number = signalOf(body.value.name);
      if (number === undefined) throw new KilnError('invalid_argument', `Unknown signal ${body.value.name}`);
      await process.signal(number);
      return;
    }
    case 'started':
    case 'exit':
    case 'done':
      throw new KilnError('invalid_argument', `a client cannot say that a process has ${body.case}`);
    case undefined:
      return;
  }
}

/** What the processes of one call share. */
interface ExecCall {
  readonly output: Output;
  readonly containers: GatewayContainers;
  readonly budget: InputBudget;
  readonly signal: AbortSignal;
}

/** A process, as the client of a call knows it. */
class ClientProcess {
  /** Does not reject. */
  readonly ended: Promise<void>;
  readonly #id: string;
  readonly #output: Output;
  readonly #budget: InputBudget;
  #hasEnded = false;
  /** Which of the outputs the client wants: it may name them again and again, and others that no process has. */
  readonly #wanted: readonly (1 | 2)[];
  /** Until it has ended; undefined for a process without input. */
  #input: InputQueue | undefined;
  readonly #started = deferred<ProcessControl | undefined>();
  #size: { readonly rows: number; readonly columns: number } = usualTerminal;

  constructor(id: string, init: InitMessage, { output, containers, budget, signal }: ExecCall) {
    this.#id = id;
    this.#output = output;
    this.#budget = budget;
    this.#wanted = outputs.filter((fd) => init.fds.includes(fd));
    this.#input = init.fds.includes(stdin) ? new InputQueue((bytes) => budget.free(bytes)) : undefined;
    this.ended = this.#run(init, containers, signal);
  }

  /** Resolves when there is room for more of whatever process: until then the client's other messages wait, too. */
  async takeInput({
    fd,
    data,
    eof,
  }: {
    readonly fd: number;
    readonly data: Uint8Array;
    readonly eof: boolean;
  }) {
    if (fd !== stdin) throw new KilnError('out_of_range', `fd ${fd} unavailable to write`);
    const input = this.#input;
    const before = input?.bytes ?? 0;
    input?.add(data);
    const room = this.#budget.take((input?.bytes ?? 0) - before);
    if (eof) this.endInput();
    await room;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  endInput(): void {
    this.#input?.end();
  }

  resize({ rows, cols }: { readonly rows: number; readonly cols: number }): void {
    this.#size = { rows: Math.min(rows, maxTerminal), columns: Math.min(cols, maxTerminal) };
    void this.#started.promise.then((control) => control?.resize(this.#size));
  }

  /** Waits for the process to be started. */
  async signal(number: number): Promise<void> {
    const control = await this.#started.promise;
    control?.signal(number);
  }

  async #run(init: InitMessage, containers: GatewayContainers, signal: AbortSignal): Promise<void> {
    let hasStarted = false;
    const started = (control?: ProcessControl) => {
      if (!hasStarted) this.#say({ case: 'started', value: {} });
      hasStarted = true;
      this.#started.resolve(control);
    };
    const exit = await this.#follow(init, containers, signal, started).then(
      () => ({ code: 0 }),
      (error) => ({ code: exitCodeOf(asKilnError(error)), error: toStatus(error) }),
    );
    this.#input?.discard();
    this.#input = undefined;
    this.#hasEnded = true;
    // Clients wait for this, and then look at how it ended.
    started();
    for (const fd of this.#wanted) this.#say({ case: 'file', value: { fd, eof: true } });
    this.#say({ case: 'exit', value: exit });
    this.#say({ case: 'done', value: {} });
  }

  async #follow(
    init: InitMessage,
    containers: GatewayContainers,
    signal: AbortSignal,
    onStarted: (control: ProcessControl) => void,
  ): Promise<void> {
    const container = containers.get(init.containerId);
    await container.run(containerProcess(init), {
      signal,
      onOutput: (fd, data) => {
        if (!this.#wanted.includes(fd)) return;
        const room = this.#say({ case: 'file', value: { fd, data } }, data.length);
        // What is written after the end of the call is for nobody.
        return room && abortable(room, signal).catch(() => {});
      },
      dialog: {
        terminal: init.tty ? this.#size : undefined,
        input: this.#input?.chunks(),
        onStarted,
      },
    });
  }

  #say(body: Message['body'], bytes = 0): Promise<void> | undefined {
    return this.#output.add({ processId: this.#id, body }, bytes);
  }
}

function exitCodeOf({ details }: KilnError): number {
  return details.find((detail) => detail.kind === 'exit')?.code ?? unknownCode;
}
