import { KilnError } from '../../../base/errors.ts';
import type { HttpAnswer, HttpMethod } from '../../../http/http-client.ts';
import { HttpClient } from '../../../http/http-client.ts';
import { readBody, readExplanation } from '../../../http/read-body.ts';
import { sendAgain } from '../send-again.ts';
import { serviceError } from '../service-error.ts';
import type { GhaOptions } from './gha-options.ts';

/** Bytes of an answer that is not a blob. */
const longestAnswer = 64 * 1024;
const retry = { attempts: 8, firstDelay: 1000 };

export interface GhaRequest {
  readonly method: HttpMethod;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** What is asked for, without a secret. */
  readonly subject: string;
}

/** A refusal of the service. */
export interface GhaRefusal {
  readonly status: number;
  /** The codes and words of the service. */
  readonly said: string;
}

/** Sends requests to the service, in its token's name, and to where it keeps data, in nobody's. */
export class GhaRequests {
  readonly #client = new HttpClient();
  readonly #options: Pick<GhaOptions, 'token' | 'timeout'>;

  constructor(options: Pick<GhaOptions, 'token' | 'timeout'>) {
    this.#options = options;
  }

  /** Asks the service. Returns its JSON (undefined if it is empty), or its refusal if `isAnswer` says that it is an answer. */
  async ask(
    request: GhaRequest,
    isAnswer: (refusal: GhaRefusal) => boolean,
    signal: AbortSignal,
  ): Promise<{ readonly json: Readonly<Record<string, unknown>> | undefined } | GhaRefusal> {
    const headers = { authorization: `Bearer ${this.#options.token}`, ...request.headers };
    const answer = await this.#send({ ...request, headers }, signal);
    if (answer.status >= 300) {
      const refusal = { status: answer.status, said: await readExplanation(answer.body, longestAnswer) };
      if (isAnswer(refusal)) return refusal;
      throw refused(request, refusal, signal);
    }
    return { json: parseAnswer(await readBody(answer.body, longestAnswer), request.subject) };
  }

  /** Reads data from a signed address, from a byte on. */
  async download(
    url: URL,
    subject: string,
    offset: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const headers = offset > 0 ? { range: `bytes=${offset}-` } : undefined;
    const request: GhaRequest = { method: 'GET', url, headers, subject };
    const answer = await this.#send(request, signal);
    if (answer.status !== (offset > 0 ? 206 : 200)) {
      const said = await readExplanation(answer.body, longestAnswer);
      throw refused(request, { status: answer.status, said }, signal);
    }
    return answer.body;
  }

  async #send(
    { subject, body, headers = {}, ...request }: GhaRequest,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const sized = body ? { ...headers, 'content-length': String(body.length) } : headers;
    const limit = AbortSignal.timeout(this.#options.timeout);
    const sent = {
      ...request,
      headers: { 'user-agent': 'kiln', ...sized },
      body: body && (async () => body),
    };
    try {
      return await sendAgain(this.#client, subject, sent, AbortSignal.any([signal, limit]), retry);
    } catch (error) {
      if (signal.aborted || !limit.aborted) throw error;
      throw new KilnError('unavailable', `${subject}: ${request.url.host} did not answer in time`, {
        hint: 'the option timeout of the cache says for how long a request is tried',
      });
    }
  }
}

function refused({ subject, url }: GhaRequest, { status, said }: GhaRefusal, signal: AbortSignal): KilnError {
  return serviceError(undefined, { subject, host: url.host, status, name: undefined, message: said }, signal);
}

function parseAnswer(bytes: Buffer, subject: string): Readonly<Record<string, unknown>> | undefined {
  if (bytes.length === 0) return undefined;
  try {
    const json: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof json === 'object' && json !== null) return json as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new KilnError('data_loss', `${subject}: the answer of the cache service is not what it should be`);
}
