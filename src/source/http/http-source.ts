import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { withoutCredentials } from '../../base/secrecy/without-credentials.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { ChecksumQuestion, HttpChecksum, HttpMetadata } from '../../llb/source-metadata.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { ResolutionCache } from '../resolution-cache.ts';
import { checkSignature } from '../signatures/check-signature.ts';
import type { FileResolver, Source, SourceContext, SourceInstance, SourceKey } from '../source.ts';
import { downloadName } from './download-name.ts';
import { httpCacheDigest } from './http-cache-digest.ts';
import { digestMismatch, HttpDownloader, type HttpDownloaderOptions } from './http-downloader.ts';
import type { FileIdentity, HttpDownload } from './http-downloads.ts';
import { type HttpOptions, parseHttpOptions, requestDigest } from './http-options.ts';

export interface HttpSourceOptions extends HttpDownloaderOptions {
  /** Checks signatures. */
  readonly pool: ThreadPool;
}

/**
 * `http://` and `https://`: a tree with one file that is downloaded. Its key is the file's digest, name, owner, mode and
 * time: what the URL names now, unless a checksum says it without asking. `http://buildkit-session/…` is a stream of the client.
 */
export function createHttpSource(options: HttpSourceOptions): Source & FileResolver & AsyncDisposable {
  const downloader = new HttpDownloader(options);
  const cache = new ResolutionCache<HttpDownload>();
  const open = (op: SourceOp) => new HttpInstance(parseHttpOptions(op), { ...options, downloader, cache });
  return {
    schemes: ['http', 'https'],
    contentOnly: false,
    open,
    resolveFile: (op, checksum, context) => open(op).describe(checksum, context),
    [Symbol.asyncDispose]: () => downloader[Symbol.asyncDispose](),
  };
}

interface HttpParts extends Pick<HttpSourceOptions, 'refStore' | 'downloads' | 'pool'> {
  readonly downloader: HttpDownloader;
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
    const file = await this.#identify(context);
    return { digest: httpCacheDigest(this.#http, file), pin: file.digest };
  }

  /** What the URL names now; a checksum of another kind needs the file. */
  async describe(question: ChecksumQuestion | undefined, context: SourceContext): Promise<HttpMetadata> {
    const { digest, filename, modifiedAt } = await this.#identify(context);
    return {
      digest,
      filename,
      lastModified: modifiedAt ? new Date(modifiedAt) : undefined,
      checksum: question && (await this.#checksum(question, context)),
    };
  }

  async #checksum({ algorithm, suffix }: ChecksumQuestion, context: SourceContext): Promise<HttpChecksum> {
    return await this.#withFile(context, async (file) => {
      const hash = createHash(algorithm);
      await pipeline(createReadStream(file), hash, { end: false, signal: context.signal });
      return { digest: `${algorithm}:${hash.update(suffix).digest('hex')}`, suffix };
    });
  }

  /** Brings the file if it is not here. */
  async #withFile<T>(context: SourceContext, work: (file: string) => Promise<T>): Promise<T> {
    const ref = await this.snapshot(context);
    try {
      await using view = await ref.mount(context);
      const [name] = await readdir(view.path);
      return await work(path.join(view.path, name!));
    } finally {
      await ref.release();
    }
  }

  /** Throws `failed_precondition` when the file is not one that the definition takes, as far as its digest does not tell that. */
  async #check(context: SourceContext): Promise<void> {
    const { otherChecksum, signature, url } = this.#http;
    if (otherChecksum) {
      const { algorithm, digest: wanted } = otherChecksum;
      const { digest } = await this.#checksum({ algorithm, suffix: new Uint8Array() }, context);
      if (digest !== wanted) throw new KilnError('failed_precondition', digestMismatch(digest, wanted));
    }
    if (!signature) return;
    try {
      await this.#withFile(context, (file) =>
        checkSignature(
          this.#parts.pool,
          { content: { file }, ...signature, rejectExpiredKeys: false, sshNamespace: 'file' },
          context.signal,
        ),
      );
    } catch (error) {
      throw asKilnError(error).wrap(withoutCredentials(url.href));
    }
  }

  /** Also holds the file, if it is here. */
  async #identify(context: SourceContext): Promise<FileIdentity> {
    const wanted = await this.#find(context);
    this.#wanted = wanted;
    const ref = await this.#existing(wanted);
    if (ref) context.retain(ref);
    await ref?.release();
    await this.#check(context);
    return wanted;
  }

  async #existing(wanted: FileIdentity): Promise<ImmutableRef | undefined> {
    const known = this.#parts.downloads.find(wanted);
    return known && (await this.#parts.refStore.get(known.ref));
  }

  async #find(context: SourceContext): Promise<FileIdentity> {
    const { url, filename, checksum: digest, mode, uid, gid } = this.#http;
    if (digest === undefined) {
      const { downloader, cache } = this.#parts;
      return await cache.get(requestDigest(this.#http), context, (shared) =>
        downloader.current(this.#http, shared),
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
    const wanted = this.#wanted;
    if (!wanted)
      throw new KilnError('internal', `${withoutCredentials(this.#http.url.href)}: snapshot before key`);
    const existing = await this.#existing(wanted);
    if (existing) return existing;
    // Never downloaded, or pruned since the key was made.
    const { downloader } = this.#parts;
    return (await downloader.fetch({ ...this.#http, checksum: wanted.digest }, context)).ref;
  }
}
