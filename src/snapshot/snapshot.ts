/** A snapshot's name: short, unique for the life of the root, chosen by the caller (`[a-z0-9]+`). */
export type SnapshotId = string & { readonly __snapshot: true };

export function snapshotId(text: string): SnapshotId {
  return text as SnapshotId;
}

/** How a snapshot is made visible. Nothing is mounted until somebody needs to see the files (see `linux/mount.ts`). */
export type SnapshotMount = SnapshotView & {
  /** Where some of the files come over the network while they are read. */
  readonly partlyHere?: PartialFiles;
};

/** A part of a file, by bytes; all of it by default. */
export interface FilePart {
  readonly path: string;
  readonly offset?: number;
  readonly length?: number;
}

/**
 * Files that come over the network while they are read. Processes of steps may read them, and tasks that do so in threads of their own without Node's
 * (`fs.promises`). For all other readers they are brought before, since they are what fetches them.
 */
export interface PartialFiles {
  /** Reads files, by their paths in a view: reading the same parts again waits for nothing. What cannot be read is told to who reads it then. */
  bring(parts: readonly FilePart[], signal?: AbortSignal): Promise<void>;
  /** Fetches all that has not come. Throws what keeps it from that. */
  complete(signal?: AbortSignal): Promise<void>;
}

type SnapshotView =
  /** The tree is plainly there. */
  | { readonly kind: 'bind'; readonly source: string; readonly readonly: boolean }
  /** Lower directories, topmost first; without an upper one the mount is read-only. */
  | {
      readonly kind: 'overlay';
      readonly lowerDirs: readonly string[];
      readonly upperDir?: string;
      readonly workDir?: string;
      /** Where an EROFS image may be made that is the layer, instead of writing anything to `upperDir`. It becomes the layer with `commit`. */
      readonly image?: string;
    };

/** What a snapshot changed against its parent, as the differ reads it. */
export type SnapshotChanges =
  /** `dir` is in overlayfs form (0/0 devices are whiteouts, `trusted.overlay.opaque` directories); `lowerDirs` topmost first. */
  | { readonly kind: 'overlay'; readonly dir: string; readonly lowerDirs: readonly string[] }
  /** Two whole trees; no `lower` means everything is new. */
  | { readonly kind: 'trees'; readonly lower?: string; readonly upper: string };

/**
 * A copy-on-write store of file trees.
 *
 *   [stage] ──► prepare ──► active ──commit──► committed ──► parent of further snapshots
 *      │                      │                    │
 *      └────────remove────────┴────────────────────┘     (a snapshot that has children cannot be removed)
 *
 * An active snapshot can be written through its mount; a committed one never changes. `merge` and `diff` make
 * committed snapshots directly. State survives a crash: whatever `list` returns after a restart is whole, except
 * that active snapshots may be half-written.
 */
export interface Snapshotter extends AsyncDisposable {
  readonly name: 'overlay' | 'native';
  /**
   * Makes a directory for the layer of a snapshot that is still to be prepared, so that the layer can be written before its parent is there. `prepare` takes it
   * over with what is in it. It is no snapshot before that: `list` does not name it, and it does not survive a restart. Undefined where a snapshot is more than its
   * layer. `onTop`: whether the snapshot will have a parent. Throws `already_exists`.
   */
  stage(id: SnapshotId, onTop: boolean): Promise<LayerPlace | undefined>;
  /**
   * Creates an active snapshot that starts as `parent` (empty without one). Throws `already_exists`, `not_found`.
   * Here and below, `alongside` writes rows of others to the same database: all of it is written, or nothing.
   */
  prepare(id: SnapshotId, parent?: SnapshotId, alongside?: () => void): Promise<void>;
  commit(id: SnapshotId, alongside?: () => void): Promise<void>;
  /** A committed snapshot that shows the layers of `parents` one on top of the other, first at the bottom. */
  merge(id: SnapshotId, parents: readonly SnapshotId[]): Promise<void>;
  /** A committed snapshot of what `upper` changed against `lower`, deletions included. */
  diff(id: SnapshotId, lower: SnapshotId | undefined, upper: SnapshotId): Promise<void>;
  /**
   * Active snapshots mount writable unless `readonly`; committed ones always read-only. Whoever writes through the mount cannot
   * leave anything that would mean something else to a later mount.
   */
  mount(id: SnapshotId, options?: { readonly readonly?: boolean }): Promise<SnapshotMount>;
  /**
   * The snapshot's own layers, bottom first: directories whose overlay gives the whole tree. An overlay
   * snapshotter returns one per ancestor, a copying one a single directory. Read-only for the caller.
   */
  layerDirs(id: SnapshotId): Promise<readonly string[]>;
  /** One entry per layer that lies over `base` (all without one), bottom first. */
  changes(id: SnapshotId, base?: SnapshotId): Promise<readonly SnapshotChanges[]>;
  /** Where the layer's own files are written directly without a mount (for an active snapshot, by the extractor of a layer). */
  writableLayerDir(id: SnapshotId): Promise<LayerPlace>;
  /** Throws `failed_precondition` while children exist; removing what does not exist is no error. */
  remove(id: SnapshotId): Promise<Removal>;
  /**
   * Removes several, children before parents, and what `alongside` deletes; it is told which layer directory each
   * had. The database is written before this returns its promise; when that throws, nothing is removed.
   */
  removeAll(
    ids: readonly SnapshotId[],
    alongside?: (layerDirs: readonly (string | undefined)[]) => void,
  ): Promise<readonly Removal[]>;
  stat(id: SnapshotId): Promise<SnapshotInfo | undefined>;
  list(): AsyncIterable<SnapshotInfo>;
  /** What each snapshot takes, in one go. What does not exist takes nothing. */
  usage(ids: readonly SnapshotId[], signal?: AbortSignal): Promise<readonly SnapshotUsage[]>;
  /** Bytes that the snapshot takes beside its `usage` for as long as this process lives. */
  overhead(id: SnapshotId): number;
}

/** Where the files of a layer are written. */
export interface LayerPlace {
  readonly dir: string;
  /** Whether deletions are marks of overlayfs, or carried out in what is in the directory. */
  readonly form: 'overlay' | 'tree';
}

/** The files are out of the way already, and deleted a little later. */
export interface Removal {
  /** Bytes that the disk has back, once it has. Never rejects. */
  readonly freed: Promise<number>;
  /** The layer directory of its own that the snapshot had. */
  readonly layerDir?: string;
}

export interface SnapshotInfo {
  readonly id: SnapshotId;
  readonly state: 'active' | 'committed';
  readonly parents: readonly SnapshotId[];
}

export interface SnapshotUsage {
  /** Bytes on disk (allocated blocks). */
  readonly size: number;
  readonly inodes: number;
}
