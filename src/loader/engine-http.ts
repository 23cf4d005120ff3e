import { type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Address, formatAddress } from '../api/address.ts';
import { deferred } from '../base/async/lifetime.ts';
import { asKilnError, type ErrorCode, KilnError } from '../base/errors.ts';

export interface EngineRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With the query. */
  readonly path: string;
  readonly body?: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
}

/** How much of an answer that explains a failure is read, and of a line of progress. */
const maxTextSize = 1 << 20;

/** The HTTP API of a container engine, as Docker's and Podman's are. Failures have the engine's own words. */
export class EngineHttp {
  readonly #address: Address;

  constructor(address: Address) {
    this.#address = address;
  }

  get address(): string {
    return formatAddress(this.#address);
  }

  /** Returns the answer, whose body the caller reads. Throws for statuses from 400, and `unavailable` when nobody answers. */
  async open({ method, path, body, signal }: EngineRequest): Promise<IncomingMessage> {
    const target =
      this.#address.kind === 'unix'
        ? { socketPath: this.#address.path }
        : { host: this.#address.host, port: this.#address.port };
    const answered = deferred<IncomingMessage>();
    const outgoing = request({
      ...target,
      method,
      path,
      signal,
      agent: false,
      headers: { host: 'localhost', ...(body ? { 'content-type': 'application/x-tar' } : {}) },
    });
    outgoing.once('response', answered.resolve);
    outgoing.once('error', (cause) =>
      answered.reject(
        signal.aborted
          ? asKilnError(signal.reason)
          : new KilnError('unavailable', `no answer from ${this.address}: ${cause.message}`, { cause }),
      ),
    );
    if (body) pipeline(Readable.from(body), outgoing).catch((error) => answered.reject(error));
    else outgoing.end();
    const answer = await answered.promise;
    const { statusCode = 0 } = answer;
    if (statusCode < 400) return answer;
    const text = await textOf(answer);
    throw new KilnError(
      codeOf(statusCode),
      messageOf(text) ?? `${method} ${path} was answered with ${statusCode}`,
    );
  }

  /** Makes a request whose answer says nothing more. */
  async call(request: EngineRequest): Promise<void> {
    (await this.open(request)).resume();
  }

  /** Yields what an answer of JSON lines tells, and throws the error that one of them tells. */
  async *lines(request: EngineRequest): AsyncGenerator<Readonly<Record<string, unknown>>> {
    let rest = '';
    const answer = await this.open(request);
    answer.setEncoding('utf8');
    try {
      for await (const chunk of answer as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop()!;
        if (rest.length > maxTextSize)
          throw new KilnError('out_of_range', `${this.address} answers without end`);
        for (const line of lines) yield* this.#read(line);
      }
      yield* this.#read(rest);
    } catch (error) {
      if (request.signal.aborted) throw asKilnError(request.signal.reason);
      throw asKilnError(error);
    }
  }

  *#read(line: string): Generator<Readonly<Record<string, unknown>>> {
    if (line.trim() === '') return;
    const message = recordOf(line);
    if (!message) throw new KilnError('internal', `${this.address} answers with what is no JSON`);
    if (typeof message.error === 'string' && message.error !== '')
      throw new KilnError('unknown', message.error);
    yield message;
  }
}

function recordOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  answer.setEncoding('utf8');
  for await (const chunk of answer as AsyncIterable<string>) {
    text += chunk;
    if (text.length > maxTextSize) break;
  }
  return text;
}

/** Docker and Podman say why in a field of JSON. */
function messageOf(text: string): string | undefined {
  const message = recordOf(text)?.message;
  return typeof message === 'string' && message !== '' ? message : undefined;
}

function codeOf(status: number): ErrorCode {
  if (status === 404) return 'not_found';
  if (status === 401 || status === 403) return 'permission_denied';
  return status < 500 ? 'invalid_argument' : 'unknown';
}
