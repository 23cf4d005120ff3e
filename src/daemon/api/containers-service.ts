import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type {
  Containers,
  RunMount,
  RunRequest,
  RunResponseSchema,
  RunStart,
  TerminalSize as SizeMessage,
} from '../../api/gen/kiln_containers_pb.js';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { type Platform, parsePlatform } from '../../base/platform.ts';
import type { Engine } from '../../engine/engine.ts';
import type { TreeProcess } from '../../engine/run-in-tree.ts';
import type { ProcessControl, ProcessMount } from '../../executor/executor.ts';
import type { BuildRegistry } from '../builds/build-registry.ts';
import { InputQueue } from '../containers/input-queue.ts';
import { MessageQueue } from '../containers/message-queue.ts';
import { signalOf } from '../containers/signal-of.ts';

export interface ContainersServices {
  readonly engine: Engine;
  readonly builds: BuildRegistry;
  readonly platform: Platform;
  /** Whether clients may have paths of this machine in their containers: who may is as good as root here. */
  readonly hostMounts: boolean;
}

/** The largest size of a terminal that makes sense. */
const maxTerminal = 10_000;

/** Kiln's own API to run a process on a result of a build. */
export function containersService(services: ContainersServices): ServiceImpl<typeof Containers> {
  return {
    async *run(requests, context) {
      const messages = requests[Symbol.asyncIterator]();
      const first = await messages.next();
      if (first.done || first.value.message.case !== 'start') {
        throw new KilnError('invalid_argument', 'the first message of a run has to start it');
      }
      const start = first.value.message.value;
      const { build, refs } = await services.builds.get(start.build, context.signal);
      const process = processOf(start, services);
      const ref = refs.get(start.ref);
      const output = new OutputQueue();
      const input = new InputQueue((bytes) => output.taken(bytes));
      const ended = new AbortController();
      const signal = AbortSignal.any([context.signal, build.signal, ended.signal]);
      const running = services.engine
        .runInTree(ref, process, {
          signal,
          onOutput: (stream, data) => output.add(stream, data),
          dialog: {
            terminal: start.terminal && sizeOf(start.terminal),
            input: start.input ? input.chunks() : undefined,
            onStarted(control) {
              output.started();
              void follow(messages, input, control).catch((error) => ended.abort(asKilnError(error)));
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
    },
  };
}

/** Does what the client says, until it says nothing more. Throws `invalid_argument`. */
async function follow(
  messages: AsyncIterator<RunRequest>,
  input: InputQueue,
  control: ProcessControl,
): Promise<void> {
  for (;;) {
    const next = await messages.next();
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

function processOf(start: RunStart, { platform, hostMounts }: ContainersServices): TreeProcess {
  const { args, env, cwd, user, hostname, readonlyRoot } = start;
  if (args.length === 0) throw new KilnError('invalid_argument', 'there is no command to run');
  for (const text of [...args, ...env, cwd, user, hostname]) {
    if (text.includes('\0')) throw new KilnError('invalid_argument', 'a text of a process has a zero byte');
  }
  return {
    platform: start.platform === '' ? platform : parsePlatform(start.platform),
    args,
    env,
    cwd: cwd || '/',
    user,
    hostname,
    network: start.noNetwork ? 'none' : 'sandbox',
    readonlyRoot,
    mounts: start.mounts.map((mount) => mountOf(mount, hostMounts)),
  };
}

function mountOf({ target, source, readonly }: RunMount, hostMounts: boolean): ProcessMount {
  if (!target.startsWith('/') || target.includes('\0')) {
    throw new KilnError('invalid_argument', `the mount point ${JSON.stringify(target)} is not absolute`);
  }
  if (source === '') return { kind: 'tmpfs', dest: target, size: 0 };
  if (!hostMounts) {
    throw new KilnError(
      'permission_denied',
      `this daemon does not let ${source} be mounted into containers`,
      {
        hint: 'start it with --allow-insecure-entitlement security.insecure, or run without a daemon',
      },
    );
  }
  if (!source.startsWith('/') || source.includes('\0')) {
    throw new KilnError('invalid_argument', `the mount's source ${JSON.stringify(source)} is not absolute`);
  }
  return { kind: 'host', dest: target, source, readonly };
}

/** Throws `invalid_argument`. */
function sizeOf({ rows, columns }: SizeMessage) {
  if (rows > maxTerminal || columns > maxTerminal) {
    throw new KilnError('invalid_argument', `no terminal has ${columns} columns and ${rows} rows`);
  }
  return { rows, columns };
}

type RunMessage = MessageInitShape<typeof RunResponseSchema>['message'];

/** What is told the client. */
class OutputQueue {
  readonly #queue: MessageQueue<RunMessage>;
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
    const message =
      stream === 1 ? ({ case: 'output', value } as const) : ({ case: 'errorOutput', value } as const);
    return this.#queue.add(message, value.length);
  }

  end(): void {
    this.#queue.end();
  }

  async *messages(): AsyncGenerator<{ readonly message: RunMessage }> {
    for await (const message of this.#queue.messages()) yield { message };
  }

  #takenMessage(): RunMessage | undefined {
    if (this.#taken === 0) return undefined;
    const value = this.#taken;
    this.#taken = 0;
    return { case: 'inputTaken', value };
  }
}
