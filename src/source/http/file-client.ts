import { STATUS_CODES } from 'node:http';
import { throwIfAborted } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import { userAgent } from '../../base/version.ts';
import { codeOfStatus } from '../../http/code-of-status.ts';
import { followRedirects } from '../../http/follow-redirects.ts';
import { type HttpAnswer, HttpClient } from '../../http/http-client.ts';
import { mayKnow } from '../../http/may-know.ts';
import { isNotTls, isUntrusted, networkReason } from '../../http/network-failure.ts';
import { discard } from '../../http/read-body.ts';
import type { HttpDownload } from './http-downloads.ts';
import type { HttpOptions } from './http-options.ts';
import type { IncomingFile } from './incoming-file.ts';

/** What a server is asked. */
export interface FileQuestion {
  readonly http: HttpOptions;
  /** The header of that name. */
  readonly authorization: string | undefined;
  /** Versions of the file that are here already. */
  readonly versions: readonly HttpDownload[];
}

export type FileAnswer =
  | { readonly kind: 'file'; readonly file: IncomingFile }
  /** The file is still `version`; undefined when the server does not say which version it is. */
  | { readonly kind: 'unchanged'; readonly version: HttpDownload | undefined };

const maxRedirects = 10;

/** Asks servers for files. */
export class FileClient implements Disposable {
  readonly #client = new HttpClient();

  /** Asks with HEAD which of the versions the server still has; undefined when it has another one, or gives no clear answer. */
  async currentVersion(question: FileQuestion, signal: AbortSignal): Promise<HttpDownload | undefined> {
    try {
      const answer = await this.#request('HEAD', question, signal);
      await discard(answer.body);
      return answer.status === 200 || answer.status === 304
        ? sameVersion(answer, question.versions)
        : undefined;
    } catch {
      // Not every server knows HEAD: what is wrong shows when the file is asked for.
      throwIfAborted(signal);
      return undefined;
    }
  }

  /** Asks with GET. Throws `unavailable` when there is no answer, and another code for a status that says no. */
  async get(question: FileQuestion, signal: AbortSignal): Promise<FileAnswer> {
    const answer = await this.#request('GET', question, signal);
    if (answer.status >= 200 && answer.status < 300) return { kind: 'file', file: incomingOf(answer) };
    await discard(answer.body);
    const { http, authorization, versions } = question;
    if (answer.status === 304 && versions.length > 0) {
      return { kind: 'unchanged', version: sameVersion(answer, versions) };
    }
    throw refused(answer, http.url, authorization);
  }

  /** Ends the requests that are under way. */
  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }

  /** Returns the answer whatever the status is. Throws `unavailable` when there is no answer. */
  #request(
    method: 'GET' | 'HEAD',
    { http, authorization, versions }: FileQuestion,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const headers = {
      'user-agent': userAgent,
      // Some servers name versions differently by what they may send: HEAD and GET have to ask alike.
      'accept-encoding': 'gzip',
      ...http.headers,
      ...(versions.length > 0 && { 'if-none-match': versions.map(({ etag }) => etag).join(', ') }),
    };
    return followRedirects({ method, url: http.url }, maxRedirects, async ({ url }) => {
      const known = { ...headers, ...(authorization && mayKnow(http.url, url) ? { authorization } : {}) };
      try {
        return await this.#client.send({ method, url, headers: known }, signal);
      } catch (error) {
        throw error instanceof KilnError ? error : unreachable(error, url);
      }
    });
  }
}

function unreachable(error: unknown, { host, protocol }: URL): KilnError {
  const said = `cannot reach ${host}`;
  if (isUntrusted(error)) {
    return new KilnError(
      'failed_precondition',
      `${said}: its certificate cannot be trusted (${networkReason(error)})`,
      { cause: error, hint: "add its authority to those that the daemon's machine trusts" },
    );
  }
  const reason = protocol === 'https:' && isNotTls(error) ? 'it does not speak TLS' : networkReason(error);
  return new KilnError('unavailable', `${said}: ${reason}`, { cause: error });
}

function sameVersion(answer: HttpAnswer, versions: readonly HttpDownload[]): HttpDownload | undefined {
  const etag = etagName(answer.headers.etag);
  // Some servers do not repeat the only name they were asked about.
  if (etag === '' && answer.status === 304 && versions.length === 1) return versions[0];
  return versions.find((version) => version.etag === etag);
}

/** The name of a version without the mark of a weak one: versions are compared by their names alone. */
function etagName(etag: string | undefined): string {
  return etag?.replace(/^W\//, '') ?? '';
}

function incomingOf(answer: HttpAnswer): IncomingFile {
  const compressed = answer.headers['content-encoding']?.toLowerCase() === 'gzip';
  const length = answer.headers['content-length'];
  return {
    bytes: answer.body,
    compressed,
    size: length === undefined || compressed ? undefined : Number(length),
    disposition: answer.headers['content-disposition'],
    lastModified: answer.headers['last-modified'],
    etag: etagName(answer.headers.etag),
  };
}

function refused({ status }: HttpAnswer, { hostname }: URL, authorization: string | undefined): KilnError {
  const needsLogin = (status === 401 || status === 403) && authorization === undefined;
  return new KilnError(
    codeOfStatus(status),
    `invalid response status ${status} (${STATUS_CODES[status] ?? 'unknown'})`,
    {
      hint: needsLogin
        ? `if it needs credentials, give them as a secret: --secret id=HTTP_AUTH_TOKEN_${hostname},src=FILE`
        : undefined,
    },
  );
}
