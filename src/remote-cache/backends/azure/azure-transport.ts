import type { IncomingMessage } from 'node:http';
import type { HttpOperationResponse, IHttpClient, WebResource } from '@azure/storage-blob';
import { KilnError } from '../../../base/errors.ts';
import type { BodySource } from '../../../http/exchange.ts';
import { type HttpAnswer, HttpClient, type HttpMethod } from '../../../http/http-client.ts';
import { readBody } from '../../../http/read-body.ts';
import { maxDocumentSize } from '../../cache-backend.ts';
import { sendAgain } from '../send-again.ts';

/** Milliseconds for the service to put a large blob together. */
const answerTimeout = 5 * 60_000;

/**
 * How the vendor's library sends requests: with this project's client, its proxies and its time limits, and again as the service asks. The
 * library's own attempts have to be switched off (`onlyOnce`). KilnErrors come through the library as they are. `subject` says whose requests
 * they are, without a secret.
 */
export function azureTransport(subject: string, signal: AbortSignal): IHttpClient {
  const client = new HttpClient();
  return {
    async sendRequest(request) {
      const { url, method, headers: wanted, body } = request;
      const headers = Object.fromEntries(wanted.headersArray().map(({ name, value }) => [name, value]));
      const sent = { url: new URL(url), method: method as HttpMethod, headers, body: bodySource(body) };
      return await responseTo(request, await sendAgain(client, subject, { ...sent, answerTimeout }, signal));
    },
  };
}

/** The library's options that leave repeated attempts to the transport. */
export const onlyOnce = { retryOptions: { maxTries: 1 } } as const;

/** What the library sends: nothing, a text, bytes, or a function that opens a stream. */
function bodySource(body: unknown): BodySource | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === 'string') return async () => Buffer.from(body);
  if (body instanceof Uint8Array) return async () => body;
  if (typeof body === 'function') return async () => body() as AsyncIterable<Uint8Array>;
  throw new KilnError('internal', 'the Azure library sends a body of an unknown kind');
}

async function responseTo(request: WebResource, answer: HttpAnswer): Promise<HttpOperationResponse> {
  const { status } = answer;
  const headers = request.headers.clone();
  for (const name of headers.headerNames()) headers.remove(name);
  for (const [name, value] of Object.entries(answer.headers)) headers.set(name, String(value));
  const streamed = request.streamResponseStatusCodes;
  if (streamed?.has(status) || streamed?.has(Number.POSITIVE_INFINITY)) {
    return { request, status, headers, readableStreamBody: answer.body };
  }
  const text = await readBody(answer.body as IncomingMessage, maxDocumentSize);
  return { request, status, headers, bodyAsText: text.toString('utf8') };
}
