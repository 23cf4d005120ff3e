import type { DatabaseSync } from 'node:sqlite';
import { canonicalDigest } from '../base/canonical.ts';
import { KilnError } from '../base/errors.ts';
import type { ImmutableRef } from '../layer/ref.ts';
import { downloadName } from './download-name.ts';
import { HttpDownloader, type HttpDownloaderOptions } from './http-downloader.ts';
import { type FileIdentity, type HttpDownload, HttpDownloads } from './http-downloads.ts';
import { type HttpOptions, parseHttpOptions, requestDigest } from './http-options.ts';
import { ResolutionCache } from './resolution-cache.ts';
import type { Source, SourceContext, SourceInstance, SourceKey } from './source.ts';

export interface HttpSourceOptions extends HttpDownloaderOptions {
  readonly database: DatabaseSync;
}

/**
 * `http://` and `https://`: a tree with one file that is downloaded. Its key is the file's digest, name, owner, mode and
 * time: what the URL names now, unless a checksum says it without asking. `http://buildkit-session/…` is a stream of the client.
 */
export function createHttpSource(options: HttpSourceOptions): Source & AsyncDisposable {
  const downloads = new HttpDownloads(options.database);
  const downloader = new HttpDownloader(options, downloads);
  const cache = new ResolutionCache<HttpDownload>();
  return {
    schemes: ['http', 'https'],
    contentOnly: false,
    open: (op) => new HttpInstance(parseHttpOptions(op), { downloader, downloads, cache, ...options }),
    [Symbol.asyncDispose]: () => downloader[Symbol.asyncDispose](),
  };
}

interface HttpParts extends Pick<HttpSourceOptions, 'refStore'> {
  readonly downloader: HttpDownloader;
  readonly downloads: HttpDownloads;
  readonly cache: ResolutionCache<HttpDownload>;
}

class HttpInstance implements SourceInstance {
  readonly #http: HttpOptions;
  readonly #parts: HttpParts;
  #wanted: FileIdentity | undefined;

  constructor(http: HttpOptions, parts: HttpParts) {
    this.#http = http;
    this.#parts = parts;
  }

  async key(context: SourceContext): Promise<SourceKey> {
    const { digest, filename, mode, uid, gid, modifiedAt } = await this.#identify(context);
    this.#wanted = { digest, filename, mode, uid, gid, modifiedAt };
    return { digest: canonicalDigest('http', [filename, digest, mode, uid, gid, modifiedAt]), pin: digest };
  }

  async #identify(context: SourceContext): Promise<FileIdentity> {
    const { url, filename, checksum: digest, mode, uid, gid } = this.#http;
    if (digest === undefined) {
      const { downloader, cache } = this.#parts;
      return await cache.get(requestDigest(this.#http), context, (signal) =>
        downloader.current(this.#http, { ...context, sessions: () => context.sessions(), signal }),
      );
    }
    return {
      digest,
      filename: downloadName(url, filename, undefined),
      mode,
      uid,
      gid,
      modifiedAt: undefined,
    };
  }

  async snapshot(context: SourceContext): Promise<ImmutableRef> {
    const { refStore, downloads, downloader } = this.#parts;
    const wanted = this.#wanted;
    if (!wanted) throw new KilnError('internal', `${this.#http.url}: snapshot before key`);
    const known = downloads.find(wanted);
    const ref = known && (await refStore.get(known.ref));
    if (ref) return ref;
    // Never downloaded, or pruned since the key was made.
    const fetched = await downloader.fetch({ ...this.#http, checksum: wanted.digest }, context);
    return fetched.ref;
  }
}
