import { createWriteStream } from 'node:fs';
import { chmod, chown, utimes } from 'node:fs/promises';
import { STATUS_CODES } from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { abortError, throwIfAborted } from '../../base/async/lifetime.ts';
import { type FlightContext, SingleFlight } from '../../base/async/single-flight.ts';
import { type Digest, Digester } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { canonicalDigest } from '../../base/text/canonical.ts';
import type { PrimableChecksums } from '../../content-hash/content-checksums.ts';
import { codeOfStatus } from '../../http/code-of-status.ts';
import { followRedirects } from '../../http/follow-redirects.ts';
import { type HttpAnswer, HttpClient } from '../../http/http-client.ts';
import { mayKnow } from '../../http/may-know.ts';
import {
  isBrokenConnection,
  isNotTls,
  isTransient,
  isUntrusted,
  networkReason,
} from '../../http/network-failure.ts';
import { discard } from '../../http/read-body.ts';
import { type RetryPolicy, withRetry } from '../../http/retry.ts';
import type { ImmutableRef, RefStore } from '../../ref/ref.ts';
import { pullUpload, uploadHost } from '../../session/requests/pull-upload.ts';
import type { ClientCredentials, SessionManager } from '../../session/session.ts';
import { NewTree } from '../new-tree.ts';
import { reportTransfer } from '../report-transfer.ts';
import type { SourceContext } from '../source.ts';
import { downloadName } from './download-name.ts';
import { parseHttpDate } from './http-date.ts';
import type { HttpDownload, HttpDownloads } from './http-downloads.ts';
import { type HttpOptions, requestDigest } from './http-options.ts';

export interface HttpDownloaderOptions {
  readonly refStore: Pick<RefStore, 'get' | 'has' | 'createMutable'>;
  /** Told the digests of downloaded files, so that they are not read again. */
  readonly checksums: Pick<PrimableChecksums, 'prime'>;
  readonly credentials: Pick<ClientCredentials, 'secret'>;
  readonly sessions: Pick<SessionManager, 'any'>;
  readonly downloads: HttpDownloads;
  /** Of failures that may pass by themselves. */
  readonly retry?: RetryPolicy;
}

/** A file that was just brought, with a handle to its tree. */
export interface Fetched {
  readonly download: HttpDownload;
  readonly ref: ImmutableRef;
}

/** Bytes on their way, and what their sender says of them. */
interface Incoming {
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly compressed: boolean;
  /** Undefined when that is not known. */
  readonly size: number | undefined;
  readonly disposition: string | undefined;
  readonly lastModified: string | undefined;
  readonly etag: string;
}

interface Question {
  readonly http: HttpOptions;
  readonly authorization: string | undefined;
  /** What is here already: the server is asked for something else. */
  readonly versions: readonly HttpDownload[];
}

/** Bytes that may wait to be written. */
const writeBuffer = 1024 * 1024;

const maxRedirects = 10;
const defaultRetry: RetryPolicy = { attempts: 4, firstDelay: 250 };

/** Downloads of files into trees of their own, none that is here already as far as a server can tell. */
export class HttpDownloader implements AsyncDisposable {
  readonly #options: HttpDownloaderOptions;
  readonly #downloads: HttpDownloads;
  readonly #client = new HttpClient();
  readonly #shared = new SingleFlight<HttpDownload>();
  /** Begun, perhaps given up, but not cleaned up yet. */
  readonly #running = new Set<Promise<HttpDownload>>();

  constructor(options: HttpDownloaderOptions) {
    this.#options = options;
    this.#downloads = options.downloads;
  }

  /** What the URL names now: a file that is here, if the server says that it is still the same, or a new download. */
  async current(http: HttpOptions, context: SourceContext): Promise<HttpDownload> {
    return await this.#explained(http, context, async () => {
      const authorization = await this.#authorization(http, context);
      const same = canonicalDigest('http-download', [requestDigest(http), authorization]);
      const work = ({ signal }: FlightContext) => {
        const shared = { ...context, sessions: () => context.sessions(), signal };
        return this.#tracked(this.#refresh(http, authorization, shared));
      };
      return await this.#shared.run(same, work, { signal: context.signal });
    });
  }

  /** Downloads the file, whatever is here. */
  async fetch(http: HttpOptions, context: SourceContext): Promise<Fetched> {
    return await this.#explained(http, context, async () => {
      const authorization = await this.#authorization(http, context);
      return await this.#bringWithRetry({ http, authorization, versions: [] }, context);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    await Promise.allSettled(this.#running);
  }

  #tracked(work: Promise<HttpDownload>): Promise<HttpDownload> {
    this.#running.add(work);
    const done = () => this.#running.delete(work);
    work.then(done, done);
    return work;
  }

  async #explained<T>(http: HttpOptions, { signal }: SourceContext, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throwIfAborted(signal);
      throw asKilnError(error).wrap(`cannot download ${shownUrl(http.url)}`);
    }
  }

  async #refresh(
    http: HttpOptions,
    authorization: string | undefined,
    context: SourceContext,
  ): Promise<HttpDownload> {
    const versions = this.#downloads
      .versions(requestDigest(http))
      .filter(({ ref }) => this.#options.refStore.has(ref));
    const question = { http, authorization, versions };
    // First without the body: some servers name the versions of a file, but send it whatever they are asked.
    const unchanged = versions.length > 0 && (await this.#ask(question, context));
    if (unchanged) return unchanged;
    const { download, ref } = await this.#bringWithRetry(question, context);
    await ref.release();
    return download;
  }

  /** Which of the versions a server still has; undefined when it has another one, or gives no clear answer. */
  async #ask(question: Question, { signal }: SourceContext): Promise<HttpDownload | undefined> {
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

  /** Answers whatever the status is. Throws `unavailable` when there is no answer. */
  #request(
    method: 'GET' | 'HEAD',
    { http, authorization, versions }: Question,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const headers = {
      'user-agent': 'kiln',
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

  #bringWithRetry(question: Question, context: SourceContext): Promise<Fetched> {
    const { url } = question.http;
    // A client gives an upload only once.
    if (url.host === uploadHost) {
      return this.#save(question.http, incomingUpload(url, this.#options.sessions, context), context);
    }
    return withRetry(this.#options.retry ?? defaultRetry, context.signal, isTransient, () =>
      this.#bring(question, context),
    );
  }

  async #bring(question: Question, context: SourceContext): Promise<Fetched> {
    const { http, authorization, versions } = question;
    const answer = await this.#request('GET', question, context.signal);
    if (answer.status >= 200 && answer.status < 300)
      return await this.#save(http, incomingOf(answer), context);
    await discard(answer.body);
    if (answer.status === 304 && versions.length > 0) {
      const download = sameVersion(answer, versions);
      const ref = download && (await this.#options.refStore.get(download.ref));
      return ref ? { download, ref } : await this.#bring({ ...question, versions: [] }, context);
    }
    throw refused(answer, http.url, authorization);
  }

  /** Writes the file, unless an equal one is here. Throws `failed_precondition` when it is not the one that was wanted. */
  async #save(http: HttpOptions, incoming: Incoming, context: SourceContext): Promise<Fetched> {
    const { refStore, checksums } = this.#options;
    const { mode, uid, gid, checksum, url } = http;
    const filename = downloadName(url, http.filename, incoming.disposition);
    const modifiedAt = parseHttpDate(incoming.lastModified ?? '')?.getTime() ?? 0;
    await using tree = new NewTree(refStore, { type: 'regular', description: `http url ${shownUrl(url)}` });
    const file = path.join(await tree.makeDirectory(), filename);
    const digest = await writeDownload(file, incoming, context);
    await chown(file, uid, gid);
    await chmod(file, mode);
    await utimes(file, modifiedAt / 1000, modifiedAt / 1000);
    if (checksum !== undefined && digest !== checksum) {
      throw new KilnError('failed_precondition', `digest mismatch ${digest}: ${checksum} was expected`, {
        hint: 'the file at this URL is another one, or the checksum is that of another version',
      });
    }
    const version = { digest, filename, mode, uid, gid, modifiedAt, etag: incoming.etag };
    const known = this.#downloads.find(version);
    const equal = known && (await refStore.get(known.ref));
    if (equal) {
      if (incoming.etag !== '') this.#downloads.put(requestDigest(http), { ...version, ref: equal.id });
      return { download: { ...version, ref: equal.id }, ref: equal };
    }
    const ref = await tree.commit();
    const download = { ...version, ref: ref.id };
    this.#downloads.put(requestDigest(http), download);
    const [dir] = await ref.layerDirs(context);
    if (dir !== undefined) await checksums.prime(dir, [{ path: filename, digest }], context.signal);
    return { download, ref };
  }

  /** The header `Authorization`: a secret that the definition names, one that is named after the host, or what the URL has. */
  async #authorization(
    { url, authHeaderSecret }: HttpOptions,
    context: SourceContext,
  ): Promise<string | undefined> {
    if (url.host === uploadHost) return undefined;
    const { credentials } = this.#options;
    const secret = async (id: string) =>
      Buffer.from(await credentials.secret(context.sessions(), id, context.signal)).toString();
    if (authHeaderSecret !== undefined) return await secret(authHeaderSecret);
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const optional = (id: string) =>
      secret(id).catch(() => {
        throwIfAborted(context.signal);
        return undefined;
      });
    const [token, header] = await Promise.all([
      optional(`HTTP_AUTH_TOKEN_${host}`),
      optional(`HTTP_AUTH_HEADER_${host}`),
    ]);
    if (token !== undefined) return `Bearer ${token}`;
    return header ?? basicAuthorization(url);
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
  const etag = strongEtag(answer.headers.etag);
  // Some servers do not repeat the only name they were asked about.
  if (etag === '' && answer.status === 304 && versions.length === 1) return versions[0];
  return versions.find((version) => version.etag === etag);
}

/** Weak or not: versions are compared by their names alone. */
function strongEtag(etag: string | undefined): string {
  return etag?.replace(/^W\//, '') ?? '';
}

function incomingOf(answer: HttpAnswer): Incoming {
  const compressed = answer.headers['content-encoding']?.toLowerCase() === 'gzip';
  const length = answer.headers['content-length'];
  return {
    bytes: answer.body,
    compressed,
    size: length === undefined || compressed ? undefined : Number(length),
    disposition: answer.headers['content-disposition'],
    lastModified: answer.headers['last-modified'],
    etag: strongEtag(answer.headers.etag),
  };
}

/** A stream of the client. */
function incomingUpload(
  url: URL,
  sessions: HttpDownloaderOptions['sessions'],
  context: SourceContext,
): Incoming {
  const unknown = { size: undefined, disposition: undefined, lastModified: undefined, etag: '' };
  return { bytes: uploadBytes(url, sessions, context), compressed: false, ...unknown };
}

async function* uploadBytes(
  url: URL,
  sessions: HttpDownloaderOptions['sessions'],
  { signal, ...context }: SourceContext,
): AsyncGenerator<Uint8Array> {
  const { first, rest } = await sessions.any(
    context.sessions(),
    async (session) => {
      const bytes = pullUpload(session, url, signal);
      // A client that does not have it says so before anything comes.
      return { first: await bytes.next(), rest: bytes };
    },
    signal,
  );
  if (!first.done) yield first.value;
  yield* rest;
}

/** Takes the digest on the way. */
async function writeDownload(
  file: string,
  { bytes, compressed, size }: Incoming,
  { signal, progress }: SourceContext,
): Promise<Digest> {
  const digester = new Digester();
  const line = { id: `downloading ${path.basename(file)}`, name: 'downloading', total: size };
  const transfer = reportTransfer(line, progress);
  const observe = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      digester.update(chunk);
      transfer.advance(chunk.length);
      yield chunk;
    }
  };
  const target = createWriteStream(file, { flags: 'wx', mode: 0o600, highWaterMark: writeBuffer });
  try {
    if (compressed) await pipeline(bytes, createGunzip(), observe, target, { signal });
    else await pipeline(bytes, observe, target, { signal });
  } catch (error) {
    throw signal.aborted ? abortError(signal) : transferFailure(error);
  } finally {
    transfer.complete();
  }
  return digester.digest();
}

/** What the disk or the client says stays as it is; what the connection says may pass by itself. */
function transferFailure(error: unknown): KilnError {
  const { code } = error as { code?: unknown };
  if (typeof code !== 'string' || error instanceof KilnError) return asKilnError(error);
  if (code.startsWith('Z_'))
    return new KilnError('data_loss', 'what came is no valid gzip', { cause: error });
  if (!isBrokenConnection(error)) return asKilnError(error);
  return new KilnError('unavailable', `the transfer broke off: ${networkReason(error)}`, { cause: error });
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

function basicAuthorization({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/** Without the password that it may have. */
function shownUrl(url: URL): string {
  if (url.password === '') return url.href;
  const shown = new URL(url);
  shown.password = 'xxxxx';
  return shown.href;
}
