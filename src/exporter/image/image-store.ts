import type { DatabaseSync } from 'node:sqlite';
import { removeRows } from '../../base/database/remove-rows.ts';
import { transaction } from '../../base/database/transaction.ts';
import { type Digest, parseDigest } from '../../base/digest.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ImageIndex } from '../../ref/disk-usage.ts';

export interface StoredImage {
  /** Canonical: `docker.io/library/app:latest`. */
  readonly name: string;
  /** Its manifest or index. */
  readonly target: Descriptor;
  /** Every blob that the image needs, the target included. */
  readonly blobs: readonly Digest[];
}

/** An image with the time at which it got its name. */
export interface ListedImage extends StoredImage {
  readonly createdAt: Date;
}

/** The images that this daemon keeps, by name. What they are made of must not be collected. */
export interface ImageStore extends ImageIndex {
  /** Gives the name to this image, whatever had it before. */
  put(image: StoredImage): Promise<void>;
  get(name: string): Promise<Descriptor | undefined>;
  /** Removing what does not exist is no error. */
  delete(name: string): Promise<void>;
  list(): Promise<readonly ListedImage[]>;
}

const schema = `
  CREATE TABLE IF NOT EXISTS images (
    name TEXT PRIMARY KEY,
    media_type TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS image_blobs (
    name TEXT NOT NULL REFERENCES images(name) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (name, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS image_blobs_by_digest ON image_blobs (digest);
`;

interface ImageRow {
  readonly name: string;
  readonly media_type: string;
  readonly digest: string;
  readonly size: number;
  readonly created_at: number;
}

export function createImageStore(database: DatabaseSync): ImageStore {
  database.exec(schema);
  const remove = database.prepare('DELETE FROM images WHERE name = ?');
  const removeBlobs = database.prepare('DELETE FROM image_blobs WHERE name = ?');
  const insert = database.prepare(
    'INSERT INTO images (name, media_type, digest, size, created_at) VALUES (?, ?, ?, ?, ?)',
  );
  const insertBlob = database.prepare('INSERT OR IGNORE INTO image_blobs (name, digest) VALUES (?, ?)');
  const select = database.prepare('SELECT * FROM images WHERE name = ?');
  const selectAll = database.prepare('SELECT * FROM images ORDER BY name');
  const selectBlobs = database.prepare('SELECT digest FROM image_blobs WHERE name = ? ORDER BY digest');
  const isHeld = database.prepare('SELECT EXISTS (SELECT 1 FROM image_blobs WHERE digest = ?) AS held');

  const drop = (name: string) => {
    removeBlobs.run(name);
    remove.run(name);
  };
  const descriptorOf = (row: ImageRow): Descriptor => ({
    mediaType: row.media_type,
    digest: parseDigest(row.digest),
    size: row.size,
  });

  return {
    async put({ name, target, blobs }) {
      transaction(database, () => {
        drop(name);
        insert.run(name, target.mediaType, target.digest, target.size, Date.now());
        for (const blob of blobs) insertBlob.run(name, blob);
      });
    },
    async get(name) {
      const row = select.get(name) as ImageRow | undefined;
      return row && descriptorOf(row);
    },
    async delete(name) {
      removeRows(database, () => drop(name));
    },
    async list() {
      return (selectAll.all() as unknown as ImageRow[]).map((row) => ({
        name: row.name,
        target: descriptorOf(row),
        createdAt: new Date(row.created_at),
        blobs: (selectBlobs.all(row.name) as unknown as { readonly digest: string }[]).map(({ digest }) =>
          parseDigest(digest),
        ),
      }));
    },
    holds: (digest) => isHeld.get(digest)!.held === 1,
  };
}
