import { throwIfAborted } from '../../base/async/lifetime.ts';
import { type FlightContext, SingleFlight } from '../../base/async/single-flight.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { withoutCredentials } from '../../base/secrecy/without-credentials.ts';
import { toByteString } from '../../base/text/byte-string.ts';
import { canonicalDigest } from '../../base/text/canonical.ts';
import { isTransient } from '../../http/network-failure.ts';
import { type RetryPolicy, withRetry } from '../../http/retry.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { RefFactory, RefLookup } from '../../ref/ref-store.ts';
import { uploadHost } from '../../session/requests/pull-upload.ts';
import type { ClientCredentials, SessionManager } from '../../session/session.ts';
import { NewTree } from '../new-tree.ts';
import { type SourceContext, withSignal } from '../source.ts';
import { downloadName } from './download-name.ts';
import { FileClient, type FileQuestion } from './file-client.ts';
import { httpAuthorization } from './http-authorization.ts';
import { parseHttpDate } from './http-date.ts';
import type { HttpDownload, HttpDownloads } from './http-downloads.ts';
import { type HttpOptions, requestDigest } from './http-options.ts';
import { type IncomingFile, incomingUpload } from './incoming-file.ts';
import { writeDownload } from './write-download.ts';

export interface HttpDownloaderOptions {
  readonly refStore: RefLookup & RefFactory;
  /** Gets the digests of downloaded files, so that they are not read again. */
  readonly credentials: Pick<ClientCredentials, 'secret'>;
  readonly sessions: Pick<SessionManager, 'any'>;
  readonly downloads: HttpDownloads;
  /** For failures that may pass by themselves. */
  readonly retry?: RetryPolicy;
}

/** A file that was just brought. The caller owns the handle to its tree. */
export interface Fetched {
  readonly download: HttpDownload;
  readonly ref: ImmutableRef;
}

const defaultRetry: RetryPolicy = { attempts: 4, firstDelay: 250 };

/** Downloads files into trees of their own. Reuses an unchanged file, revalidated with HEAD and ETag. */
export class HttpDownloader implements AsyncDisposable {
  readonly #options: HttpDownloaderOptions;
  readonly #downloads: HttpDownloads;
  readonly #client = new FileClient();
  readonly #shared = new SingleFlight<HttpDownload>();
  /** Downloads that were begun, and those that were given up but not cleaned up yet. */
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
        return this.#tracked(this.#refresh(http, authorization, withSignal(context, signal)));
      };
      return await this.#shared.run(same, work, { signal: context.signal });
    });
  }

  /** Downloads the file, even if it is here. */
  async fetch(http: HttpOptions, context: SourceContext): Promise<Fetched> {
    return await this.#explained(http, context, async () => {
      const authorization = await this.#authorization(http, context);
      return await this.#bringWithRetry({ http, authorization, versions: [] }, context);
    });
  }

  #authorization(http: HttpOptions, context: SourceContext): Promise<string | undefined> {
    const upload = http.url.host === uploadHost;
    return upload ? Promise.resolve(undefined) : httpAuthorization(http, this.#options.credentials, context);
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
      throw asKilnError(error).wrap(`cannot download ${withoutCredentials(http.url.href)}`);
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
    // First without the body: some servers name versions in ETag, but send the file even when it is the same.
    const unchanged = versions.length > 0 && (await this.#client.currentVersion(question, context.signal));
    if (unchanged) return unchanged;
    const { download, ref } = await this.#bringWithRetry(question, context);
    await ref.release();
    return download;
  }

  async #bringWithRetry(question: FileQuestion, given: SourceContext): Promise<Fetched> {
    const { http } = question;
    const over = new AbortController();
    const context = withSignal(given, AbortSignal.any([given.signal, over.signal]));
    try {
      // A client gives an upload only once.
      if (http.url.host === uploadHost) {
        return await this.#save(http, incomingUpload(http.url, this.#options.sessions, context), context);
      }
      const { retry = defaultRetry } = this.#options;
      return await withRetry(retry, context.signal, isTransient, () => this.#bring(question, context));
    } finally {
      // Ends a transfer that failed before everything had come: its sender may be silent, or never end it.
      over.abort();
    }
  }

  async #bring(question: FileQuestion, context: SourceContext): Promise<Fetched> {
    const answer = await this.#client.get(question, context.signal);
    if (answer.kind === 'file') return await this.#save(question.http, answer.file, context);
    const { version: download } = answer;
    const ref = download && (await this.#options.refStore.get(download.ref));
    return ref ? { download, ref } : await this.#bring({ ...question, versions: [] }, context);
  }

  /** Keeps the file in a tree, or an equal file that is here. Throws `failed_precondition` when it is not the one that was wanted. */
  async #save(http: HttpOptions, incoming: IncomingFile, context: SourceContext): Promise<Fetched> {
    const { refStore } = this.#options;
    const { mode, uid, gid, checksum, url } = http;
    const filename = downloadName(url, http.filename, incoming.disposition);
    const modifiedAt = parseHttpDate(incoming.lastModified ?? '')?.getTime() ?? 0;
    await using tree = new NewTree(refStore, {
      type: 'regular',
      description: `http url ${withoutCredentials(url.href)}`,
    });
    const time = BigInt(modifiedAt) * 1_000_000n;
    const metadata = { owner: { uid, gid }, mode, times: { access: time, modification: time } };
    using maker = await tree.makeTree();
    const file = maker.addFile(toByteString(filename), metadata);
    const digest = await writeDownload(file, filename, incoming, context);
    file.finish();
    maker.finish();
    if (checksum !== undefined && digest !== checksum) {
      throw new KilnError('failed_precondition', digestMismatch(digest, checksum), {
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
    return { download, ref };
  }
}

/** What is said of a file that is another one than its checksum says. */
export function digestMismatch(found: string, wanted: string): string {
  return `digest mismatch ${found}: ${wanted} was expected`;
}
