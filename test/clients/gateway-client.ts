import { randomUUID } from 'node:crypto';
import { type Client, createClient } from '@connectrpc/connect';
import { Control } from '../../src/api/gen/control_pb.js';
import {
  type ExecMessage,
  type InitMessage,
  LLBBridge,
  type NewContainerRequest,
} from '../../src/api/gen/gateway_pb.js';
import type { Mount } from '../../src/api/gen/ops_pb.js';
import { abortable, deferred } from '../../src/base/async/lifetime.ts';
import { buildHeader } from '../../src/client/ask.ts';
import { connectDaemon } from '../../src/client/connect-daemon.ts';
import { openSessionHost } from '../../src/client/session-host.ts';
import { emptySolve, type SolveRequest } from '../../src/client/solve-request.ts';
import { encodeDefinition, ociLayout, type State, toDefinition } from '../../src/llb/llb.ts';
import { baseLayout } from '../rig/base-layout.ts';

type Init<T> = { readonly [Name in keyof T]?: unknown };

/** The busybox image. */
export const base: State = ociLayout(`base@${baseLayout().digest}`, { storeId: 'base' });

/** A client of a daemon that drives a build of its own, by Kiln's generated clients alone. Disposing ends the build, as a client that goes away. */
export class GatewayClient implements AsyncDisposable {
  readonly bridge: Client<typeof LLBBridge>;
  /** How the build ended: fails as `Solve` does. */
  readonly solved: Promise<unknown>;
  readonly #resources: AsyncDisposableStack;
  readonly #call: { readonly headers: Record<string, string>; readonly signal: AbortSignal };
  readonly #gone: AbortController;

  private constructor(
    bridge: Client<typeof LLBBridge>,
    solved: Promise<unknown>,
    ref: string,
    gone: AbortController,
    resources: AsyncDisposableStack,
  ) {
    this.bridge = bridge;
    this.solved = solved;
    this.#gone = gone;
    this.#call = { headers: { [buildHeader]: ref }, signal: gone.signal };
    this.#resources = resources;
  }

  static async open(
    address: string,
    { entitlements = [], ...offers }: Partial<SolveRequest> & { readonly entitlements?: string[] } = {},
  ): Promise<GatewayClient> {
    await using opened = new AsyncDisposableStack();
    const connection = opened.use(await connectDaemon(address));
    const host = opened.use(
      await openSessionHost({
        ...emptySolve,
        source: { kind: 'definition', definition: toDefinition(base) },
        layouts: new Map([['base', baseLayout().directory]]),
        ...offers,
      }),
    );
    const ref = randomUUID();
    opened.use(await connection.attachSession(host.services, { id: ref, name: '', sharedKey: '' }));
    const gone = new AbortController();
    const control = createClient(Control, connection.transport);
    const solved = control.solve({ ref, session: ref, entitlements }, { signal: gone.signal });
    solved.catch(() => {});
    const bridge = createClient(LLBBridge, connection.transport);
    return new GatewayClient(bridge, solved, ref, gone, opened.move());
  }

  /** What calls of `bridge` need. */
  get call(): { readonly headers: Record<string, string>; readonly signal: AbortSignal } {
    return this.#call;
  }

  /** Returns the id of the ref. */
  async solve(state: State, { evaluate = false } = {}): Promise<string> {
    const definition = encodeDefinition(toDefinition(state));
    const { result } = await this.bridge.solve({ definition, evaluate, allowResultReturn: true }, this.#call);
    if (result?.result.case !== 'ref') throw new Error(`no ref in ${JSON.stringify(result)}`);
    return result.result.value.id;
  }

  /** A container whose first mount is at the root. */
  async container(
    id: string,
    root: State,
    mounts: readonly Init<Mount>[] = [],
    more: Init<NewContainerRequest> = {},
  ): Promise<void> {
    const rootfs = { dest: '/', resultId: await this.solve(root) };
    const request = { containerId: id, mounts: [rootfs, ...mounts], ...more } as object;
    await this.bridge.newContainer(request, this.#call);
  }

  exec(): ExecCall {
    return new ExecCall((requests, signal) =>
      this.bridge.execProcess(requests, {
        ...this.#call,
        signal: AbortSignal.any([this.#call.signal, signal]),
      }),
    );
  }

  /** Returns an empty result, and waits for the end of the build. */
  async finish(): Promise<void> {
    await this.bridge.return({ result: { result: { case: 'ref', value: {} } } }, this.#call);
    await this.solved;
  }

  /** Goes away without a word. */
  async leave(): Promise<void> {
    this.#gone.abort();
    await this.#resources.disposeAsync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }
}

/** One call of `ExecProcess`. */
export class ExecCall {
  readonly #processes = new Map<string, ExecutedProcess>();
  readonly #messages: object[] = [];
  readonly #stopped = new AbortController();
  /** How the call ended. */
  readonly ended: Promise<void>;
  #turn = deferred<void>();
  #isClosed = false;
  #gate: Promise<void> | undefined;

  constructor(open: (requests: AsyncIterable<object>, signal: AbortSignal) => AsyncIterable<ExecMessage>) {
    const answers = open(this.#requests(), this.#stopped.signal);
    this.ended = this.#listen(answers);
    this.ended.catch(() => {});
  }

  start(container: string, args: readonly string[], more: Init<InitMessage> = {}): ExecutedProcess {
    const id = `${container}:${randomUUID()}`;
    const process = new ExecutedProcess((body) => this.send({ processId: id, body }));
    this.#processes.set(id, process);
    const init = { containerId: container, meta: { args }, fds: [1, 2], ...more };
    this.send({ processId: id, body: { case: 'init', value: init } });
    return process;
  }

  send(message: object): void {
    this.#messages.push(message);
    this.#turn.resolve();
  }

  /** Reads nothing more until the promise resolves. */
  pause(until: Promise<void>): void {
    this.#gate = until;
  }

  /** Says that no more messages come. */
  close(): void {
    this.#isClosed = true;
    this.#turn.resolve();
  }

  abort(): void {
    this.#stopped.abort();
  }

  async *#requests(): AsyncGenerator<object> {
    for (;;) {
      yield* this.#messages.splice(0);
      if (this.#isClosed) return;
      this.#turn = deferred();
      await this.#turn.promise;
    }
  }

  async #listen(answers: AsyncIterable<ExecMessage>): Promise<void> {
    try {
      for await (const { processId, body } of answers) {
        this.#processes.get(processId)?.take(body);
        await this.#gate;
      }
    } finally {
      for (const process of this.#processes.values()) process.lost();
    }
  }
}

/** A process as the messages of the call tell of it. */
export class ExecutedProcess {
  readonly said = { 1: '', 2: '' };
  /** Resolves to how it ended once everything has been said. Rejects when the call has ended before. */
  readonly ended: Promise<{ readonly code: number; readonly message: string; readonly status: number }>;
  readonly started: Promise<void>;
  readonly #ended = deferred<{ readonly code: number; readonly message: string; readonly status: number }>();
  readonly #started = deferred<void>();
  readonly #send: (body: object) => void;
  #exit = { code: -1, message: '', status: 0 };
  #heard = deferred<void>();

  constructor(send: (body: object) => void) {
    this.#send = send;
    this.ended = this.#ended.promise;
    this.ended.catch(() => {});
    this.started = this.#started.promise;
  }

  type(text: string | Uint8Array, eof = false): void {
    this.#send({ case: 'file', value: { fd: 0, data: Buffer.from(text), eof } });
  }

  resize(rows: number, cols: number): void {
    this.#send({ case: 'resize', value: { rows, cols } });
  }

  signal(name: string): void {
    this.#send({ case: 'signal', value: { name } });
  }

  /** Waits until it has said this, and forgets that and what came before. Fails when it has not within two minutes. */
  async hears(text: string): Promise<void> {
    const late = AbortSignal.timeout(120_000);
    while (!this.said[1].includes(text)) {
      this.#heard = deferred();
      const over = this.ended.then(({ message }) => {
        if (!this.said[1].includes(text))
          throw new Error(`it ended after ${JSON.stringify(this.said)}: ${message}`);
      });
      await abortable(Promise.race([this.#heard.promise, over]), late).catch((cause) => {
        throw late.aborted ? new Error(`it said only ${JSON.stringify(this.said)}`, { cause }) : cause;
      });
    }
    this.said[1] = this.said[1].slice(this.said[1].indexOf(text) + text.length);
  }

  take(body: ExecMessage['body']): void {
    switch (body.case) {
      case 'started':
        this.#started.resolve();
        break;
      case 'file':
        this.said[body.value.fd === 2 ? 2 : 1] += Buffer.from(body.value.data).toString('latin1');
        this.#heard.resolve();
        break;
      case 'exit':
        this.#exit = {
          code: body.value.code,
          message: body.value.error?.message ?? '',
          status: body.value.error?.code ?? 0,
        };
        break;
      case 'done':
        this.#ended.resolve(this.#exit);
        break;
    }
  }

  lost(): void {
    this.#ended.reject(new Error('the call has ended before the process'));
  }
}
