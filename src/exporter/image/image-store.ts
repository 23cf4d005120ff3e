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

/** An image with what the store knows of it. */
export interface KeptImage extends StoredImage {
  /** When it got its name. */
  readonly createdAt: Date;
  /** Whether a registry has it under this name, too. */
  readonly isElsewhere: boolean;
}

/** The images that this daemon keeps, by name. What they are made of must not be collected. */
export interface ImageStore extends ImageIndex {
  /** Gives the name to this image, whatever had it before. */
  put(image: StoredImage): Promise<void>;
  get(name: string): Promise<KeptImage | undefined>;
  /** Notes that a registry has this image under this name. Nothing is noted when the name means another one by now. */
  markPushed(name: string, digest: Digest): Promise<void>;
  /** Removing what does not exist is no error. */
  delete(name: string): Promise<void>;
  list(): Promise<readonly KeptImage[]>;
  /** Keeps blobs until it is disposed of, whatever happens to the images that have them. */
  hold(blobs: readonly Digest[]): Disposable;
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
  CREATE TABLE IF NOT EXISTS pushed_images (
    name TEXT PRIMARY KEY REFERENCES images(name) ON DELETE CASCADE,
    digest TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS image_blobs_by_digest ON image_blobs (digest);
`;

interface ImageRow {
  readonly name: string;
  readonly media_type: string;
  readonly digest: string;
  readonly size: number;
  readonly created_at: number;
  readonly pushed_digest: string | null;
}

const selectImages =
  'SELECT images.*, pushed_images.digest AS pushed_digest FROM images LEFT JOIN pushed_images USING (name)';

export function createImageStore(database: DatabaseSync): ImageStore {
  database.exec(schema);
  const remove = database.prepare('DELETE FROM images WHERE name = ?');
  const removeBlobs = database.prepare('DELETE FROM image_blobs WHERE name = ?');
  const insert = database.prepare(
    'INSERT INTO images (name, media_type, digest, size, created_at) VALUES (?, ?, ?, ?, ?)',
  );
  const insertBlob = database.prepare('INSERT OR IGNORE INTO image_blobs (name, digest) VALUES (?, ?)');
  const select = database.prepare(`${selectImages} WHERE name = ?`);
  const selectAll = database.prepare(`${selectImages} ORDER BY name`);
  const forgetPush = database.prepare('DELETE FROM pushed_images WHERE name = ?');
  const notePush = database.prepare(
    'INSERT OR REPLACE INTO pushed_images (name, digest) SELECT name, digest FROM images WHERE name = ? AND digest = ?',
  );
  const selectBlobs = database.prepare('SELECT digest FROM image_blobs WHERE name = ? ORDER BY digest');
  const isHeld = database.prepare('SELECT EXISTS (SELECT 1 FROM image_blobs WHERE digest = ?) AS held');

  const held = new Map<Digest, number>();

  const drop = (name: string) => {
    forgetPush.run(name);
    removeBlobs.run(name);
    remove.run(name);
  };
  const imageOf = (row: ImageRow): KeptImage => ({
    name: row.name,
    target: { mediaType: row.media_type, digest: parseDigest(row.digest), size: row.size },
    createdAt: new Date(row.created_at),
    isElsewhere: row.pushed_digest === row.digest,
    blobs: (selectBlobs.all(row.name) as unknown as { readonly digest: string }[]).map(({ digest }) =>
      parseDigest(digest),
    ),
  });

  return {
    async put({ name, target, blobs }) {
      transaction(database, () => {
        const before = select.get(name) as ImageRow | undefined;
        drop(name);
        insert.run(name, target.mediaType, target.digest, target.size, Date.now());
        for (const blob of blobs) insertBlob.run(name, blob);
        if (before?.pushed_digest === target.digest) notePush.run(name, target.digest);
      });
    },
    async get(name) {
      const row = select.get(name) as ImageRow | undefined;
      return row && imageOf(row);
    },
    async markPushed(name, digest) {
      notePush.run(name, digest);
    },
    async delete(name) {
      removeRows(database, () => drop(name));
    },
    async list() {
      return (selectAll.all() as unknown as ImageRow[]).map(imageOf);
    },
    holds: (digest) => held.has(digest) || isHeld.get(digest)!.held === 1,
    hold(blobs) {
      const distinct = new Set(blobs);
      for (const blob of distinct) held.set(blob, (held.get(blob) ?? 0) + 1);
      return {
        [Symbol.dispose]() {
          for (const blob of distinct) {
            const others = held.get(blob)! - 1;
            if (others > 0) held.set(blob, others);
            else held.delete(blob);
          }
          distinct.clear();
        },
      };
    },
  };
}
