import { once } from 'node:events';
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { throwIfAborted } from '../base/async/lifetime.ts';
import { digestOf } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { Bridge, Frontend, FrontendRequest, FrontendResult } from '../frontend/frontend.ts';
import { platformToJson } from '../oci/platform-json.ts';
import { type ParsedFailure, parseChildMessage, parseSource } from './child-message.ts';
import { ChildQuestions } from './child-questions.ts';
import { placeInStack } from './failure-of.ts';
import { FrameReader, frameOf } from './frames.ts';
import type { BuildFileRequest } from './messages.ts';
import { readScript } from './read-script.ts';
import { startChild } from './start-child.ts';

export interface BuildFileLimits {
  /** Milliseconds in which the file's process works; those in which it waits for answers do not count. */
  readonly time: number;
  /** Bytes that its process may have. */
  readonly memory: number;
  /** Bytes of what it prints that are passed on. */
  readonly output: number;
}

const defaultLimits: BuildFileLimits = { time: 30_000, memory: 2 ** 30, output: 2 ** 20 };

export interface BuildFileOptions {
  /** The path of the file. */
  readonly file: string;
  /** Told what the file prints. */
  readonly onOutput?: (text: string) => void;
  readonly limits?: Partial<BuildFileLimits>;
}

/** How many questions are answered at once. */
const mostQuestions = 32;
/** Bytes of answers that the process has not read. */
const mostUnread = 64 * 2 ** 20;
const mostWarnings = 1_000;
/** Milliseconds. */
const tick = 50;
/** How long Kiln itself may take to start the process. */
const startTime = 60_000;
/** How long a process may take to say where it is. */
const lastWords = 2_000;

/**
 * A frontend whose exported functions are targets: a file of TypeScript or JavaScript on this machine. It runs in a process of its own,
 * confined to making LLB.
 */
export function createBuildFileFrontend(options: BuildFileOptions): Pick<Frontend, 'solve'> {
  return { solve: (bridge, request, signal) => new BuildFileRun(options, bridge, request, signal).run() };
}

/** The directory that a file may import from: that of the nearest `package.json`, or its own. */
function projectOf(file: string): string {
  const own = path.dirname(file);
  for (let at = own; ; at = path.dirname(at)) {
    if (existsSync(path.join(at, 'package.json'))) return at;
    if (at === path.dirname(at) || existsSync(path.join(at, '.git'))) return own;
  }
}

class BuildFileRun {
  readonly #bridge: Bridge;
  readonly #request: FrontendRequest;
  readonly #signal: AbortSignal;
  readonly #limits: BuildFileLimits;
  readonly #onOutput: (text: string) => void;
  readonly #file: string;
  readonly #name: string;
  readonly #directory: string;
  readonly #questions: ChildQuestions;
  /** What went wrong with questions, by their numbers. */
  readonly #failures = new Map<number, unknown>();
  #waiting = 0;
  #warned = 0;
  readonly #answering = new Set<Promise<void>>();
  /** Milliseconds until the process is late. */
  #left = startTime;
  #isLate = false;
  #said = '';

  constructor(
    { file, limits, onOutput = () => {} }: BuildFileOptions,
    bridge: Bridge,
    request: FrontendRequest,
    signal: AbortSignal,
  ) {
    this.#bridge = bridge;
    this.#request = request;
    this.#signal = signal;
    this.#limits = { ...defaultLimits, ...limits };
    this.#onOutput = onOutput;
    this.#file = realpathSync(file);
    this.#name = path.basename(file);
    this.#directory = projectOf(this.#file);
    this.#questions = new ChildQuestions(bridge, request.sessionId, signal);
  }

  async run(): Promise<FrontendResult> {
    throwIfAborted(this.#signal);
    const child = startChild(this.#directory, this.#limits.memory);
    const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    closed.catch(() => {});
    const end = () => void child.kill('SIGKILL');
    this.#signal.addEventListener('abort', end, { once: true });
    const clock = setInterval(() => {
      if (this.#waiting > 0) return;
      this.#left -= tick;
      if (this.#left > 0) return;
      if (!this.#isLate) child.kill('SIGINT');
      this.#isLate = true;
      if (this.#left < -lastWords) end();
    }, tick);
    try {
      this.#listen(child.stderr);
      // A process that ends early is told of by how it ended.
      child.stdin.on('error', () => {});
      child.stdin.write(frameOf(this.#start()));
      let outcome: FrontendResult | ParsedFailure | undefined;
      try {
        outcome = await this.#converse(child.stdout, child.stdin);
      } finally {
        if (!this.#isLate || outcome) end();
      }
      const [code, signal] = await closed;
      throwIfAborted(this.#signal);
      if (outcome && 'refs' in outcome) return outcome;
      if (outcome) throw this.#failureOf(outcome);
      throw this.#endOf(code, signal);
    } finally {
      clearInterval(clock);
      this.#signal.removeEventListener('abort', end);
      end();
    }
  }

  #start(): BuildFileRequest {
    const { options, sessionId } = this.#request;
    return {
      file: this.#file,
      name: this.#name,
      directory: this.#directory,
      options,
      sessionId,
      workers: this.#bridge.workers.map(({ id, labels, platforms }) => ({
        id,
        labels,
        platforms: platforms.map(platformToJson),
      })),
    };
  }

  #listen(output: NodeJS.ReadableStream): void {
    let shown = 0;
    output.on('data', (chunk: Buffer) => {
      // What is said at the end tells why it ended.
      this.#said = (this.#said + chunk.toString('utf8')).slice(-64 * 1024);
      const room = this.#limits.output - shown;
      // A process that is late says where it is.
      if (room <= 0 || this.#isLate) return;
      shown += chunk.length;
      this.#onOutput(
        chunk.subarray(0, room).toString('utf8') + (chunk.length >= room ? '\n[the rest is left out]\n' : ''),
      );
    });
  }

  /** What the process comes to; undefined if it ends without saying. */
  async #converse(
    output: AsyncIterable<Buffer>,
    input: Writable,
  ): Promise<FrontendResult | ParsedFailure | undefined> {
    const frames = new FrameReader();
    for await (const chunk of output) {
      for (const text of frames.read(chunk)) {
        const message = parseChildMessage(text);
        switch (message.kind) {
          case 'ready':
            this.#left = Math.min(this.#left, this.#limits.time);
            break;
          case 'ask':
            await this.#room(input);
            this.#begin(this.#answer(message.id, message.question, input));
            break;
          case 'warn':
            this.#warn(message.warning);
            break;
          case 'result':
            return this.#questions.result(message.result);
          case 'failure':
            return message.failure;
        }
      }
    }
    return undefined;
  }

  #begin(answering: Promise<void>): void {
    this.#answering.add(answering);
    void answering.finally(() => this.#answering.delete(answering));
  }

  /** Waits until another question can be answered. A process that reads no answers is late at some time. */
  async #room(input: Writable): Promise<void> {
    while (this.#answering.size >= mostQuestions) await Promise.race(this.#answering);
    if (input.writableLength <= mostUnread || input.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const event of ['drain', 'close']) input.once(event, () => resolve());
    await promise;
  }

  async #answer(
    id: number,
    question: Parameters<ChildQuestions['answer']>[0],
    input: Writable,
  ): Promise<void> {
    this.#waiting++;
    let frame: Buffer;
    try {
      frame = frameOf({ id, answer: await this.#questions.answer(question) });
    } catch (error) {
      this.#failures.set(id, error);
      const { code, message, hint } = asKilnError(error);
      frame = frameOf({ id, error: { code, message: message.slice(0, 64 * 1024), hint } });
    } finally {
      this.#waiting--;
    }
    input.write(frame);
  }

  #warn(warning: Parameters<typeof parseSource>[0]): void {
    if (++this.#warned > mostWarnings) return;
    const source = warning.optional('source', (name) => parseSource(warning.fields(name)));
    this.#bridge.warn(digestOf(''), {
      level: 1,
      short: warning.text('short'),
      detail: [...warning.texts('detail')],
      url: warning.text('url'),
      ...(source && { source: { filename: source.filename, data: source.data }, ranges: [...source.ranges] }),
    });
  }

  /** What the file says went wrong, and where. */
  #failureOf({ code, message, hint, source, question }: ParsedFailure): KilnError {
    const asked = question === undefined ? undefined : this.#failures.get(question);
    const known = asked === undefined ? undefined : asKilnError(asked);
    const at = source?.ranges[0]?.start;
    const place = source && at ? `${source.filename}:${at.line}:${at.character + 1}: ` : `${this.#name}: `;
    const details = known?.details ?? [];
    const error = new KilnError(code, visible(`${place}${message}`), {
      hint: hint && visible(hint),
      details,
      cause: known,
    });
    if (!source || details.some(({ kind }) => kind === 'source')) return error;
    return error.withDetail({ kind: 'source', language: 'TypeScript', ...source });
  }

  /** Why a process ended that said nothing. */
  #endOf(code: number | null, signal: string | null): KilnError {
    const expected = 'expected a state, an image or a directory';
    const place = this.#isLate ? placeInStack(this.#said, this.#directory) : undefined;
    const source = place && {
      filename: path.relative(path.dirname(this.#file), place.script.replace(/^file:\/\//, '')),
      data: Buffer.from(readScript(place.script) ?? ''),
      ranges: [{ start: place.position, end: place.position }],
    };
    const why = this.#isLate
      ? {
          code: 'deadline_exceeded' as const,
          message: `it did not end within ${this.#limits.time / 1000} s; ${expected}`,
        }
      : /heap out of memory|Cannot allocate memory|Array buffer allocation failed/i.test(this.#said) ||
          signal === 'SIGABRT' ||
          signal === 'SIGTRAP'
        ? {
            code: 'resource_exhausted' as const,
            message: `its process needs more than ${this.#limits.memory / 2 ** 20} MiB of memory`,
          }
        : {
            code: 'failed_precondition' as const,
            message: `its process ended ${signal ? `by ${signal}` : `with status ${code}`} and gave no result; ${expected}`,
          };
    return this.#failureOf({ ...why, hint: undefined, source, question: undefined });
  }
}

/** What a file says of itself must not steer the terminal: of control characters, only those that end lines and set tabs are left as they are. */
function visible(text: string): string {
  return text.replace(
    /[^\P{Cc}\n\t]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
