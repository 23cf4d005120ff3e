import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Digest, parseDigest } from '../../base/digest.ts';
import type { RefId } from '../../ref/ref.ts';

/** A downloaded file: the only one in the tree of `ref`. */
export interface HttpDownload {
  readonly ref: RefId;
  readonly digest: Digest;
  readonly filename: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Milliseconds since 1970, 0 when the server does not say. */
  readonly modifiedAt: number;
  /** The server's ETag without the mark of a weak one; empty when it gives none. */
  readonly etag: string;
}

/** Two downloads are the same file when all of these are equal. An undefined time equals any. */
export type FileIdentity = Pick<HttpDownload, 'digest' | 'filename' | 'mode' | 'uid' | 'gid'> & {
  readonly modifiedAt: number | undefined;
};

/** How many versions a server is asked about at most. */
const versionLimit = 16;

/** Remembers which request brought which file (table `http_downloads`). */
export class HttpDownloads {
  readonly #versions: StatementSync;
  readonly #equal: StatementSync;
  readonly #put: StatementSync;
  readonly #forgetRef: StatementSync;

  constructor(database: DatabaseSync) {
    database.exec(
      `CREATE TABLE IF NOT EXISTS http_downloads (
         request TEXT NOT NULL,
         ref TEXT NOT NULL,
         digest TEXT NOT NULL,
         filename TEXT NOT NULL,
         mode INTEGER NOT NULL,
         uid INTEGER NOT NULL,
         gid INTEGER NOT NULL,
         modified_at INTEGER NOT NULL,
         etag TEXT NOT NULL,
         PRIMARY KEY (request, ref)
       ) STRICT;
       CREATE INDEX IF NOT EXISTS http_downloads_ref ON http_downloads (ref);
       CREATE INDEX IF NOT EXISTS http_downloads_digest ON http_downloads (digest)`,
    );
    this.#versions = database.prepare(
      `SELECT * FROM http_downloads WHERE request = ? AND etag != '' ORDER BY rowid DESC LIMIT ${versionLimit}`,
    );
    this.#equal = database.prepare(
      `SELECT * FROM http_downloads WHERE digest = ? AND filename = ? AND mode = ? AND uid = ? AND gid = ?
         AND modified_at = coalesce(?, modified_at) ORDER BY rowid LIMIT 1`,
    );
    this.#put = database.prepare('INSERT OR REPLACE INTO http_downloads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#forgetRef = database.prepare('DELETE FROM http_downloads WHERE ref = ?');
  }

  /** The versions that a request brought before and that have an ETag, newest first. */
  versions(request: Digest): readonly HttpDownload[] {
    return this.#versions.all(request).map(downloadOf);
  }

  /** A file that is here, whatever URL it came from. */
  find({ digest, filename, mode, uid, gid, modifiedAt }: FileIdentity): HttpDownload | undefined {
    const row = this.#equal.get(digest, filename, mode, uid, gid, modifiedAt ?? null);
    return row && downloadOf(row);
  }

  put(request: Digest, download: HttpDownload): void {
    const { ref, digest, filename, mode, uid, gid, modifiedAt, etag } = download;
    this.#put.run(request, ref, digest, filename, mode, uid, gid, modifiedAt, etag);
  }

  /** The ref is gone. */
  forgetRef(ref: RefId): void {
    this.#forgetRef.run(ref);
  }
}

function downloadOf(row: Record<string, unknown>): HttpDownload {
  return {
    ref: String(row.ref) as RefId,
    digest: parseDigest(String(row.digest)),
    filename: String(row.filename),
    mode: Number(row.mode),
    uid: Number(row.uid),
    gid: Number(row.gid),
    modifiedAt: Number(row.modified_at),
    etag: String(row.etag),
  };
}
