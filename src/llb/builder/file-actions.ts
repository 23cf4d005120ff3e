import { cleanPath, joinPath } from '../clean-path.ts';
import type { FileChange, Owner, OwnerId } from '../op.ts';
import { type Capability, capabilities } from '../vertex-capabilities.ts';
import type { DescribedTree } from './described-tree.ts';

/** Times are in nanoseconds since 1970. */
export interface CreateOptions {
  /** `user[:group]`, by name or number. Names are looked up in the tree that is changed. */
  readonly owner?: string;
  readonly timestamp?: bigint;
}

export interface CopyOptions extends CreateOptions {
  /** Permission bits, or a symbolic form such as `u=rwX,go=rX`; undefined keeps the source's. */
  readonly mode?: number | string;
  readonly followSymlink?: boolean;
  /** Copy what is in a directory rather than the directory. */
  readonly dirCopyContents?: boolean;
  readonly unpackArchive?: boolean;
  readonly createDestPath?: boolean;
  readonly allowWildcard?: boolean;
  readonly allowEmptyWildcard?: boolean;
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
  readonly requiredPaths?: readonly string[];
  readonly alwaysReplaceExistingDestPaths?: boolean;
}

/** One step as it was written: relative paths and owner names still have to be resolved against the tree it changes. */
export interface PendingAction {
  /** What a copy reads. */
  readonly from?: DescribedTree | ChangedFiles;
  readonly needs: readonly Capability[];
  change(dir: string, owner: (spec: string | undefined) => Owner | undefined): FileChange;
}

/** A tree after changes that are made in the same step in which something is copied from it. */
export interface ChangedFiles {
  readonly tree: DescribedTree;
  readonly changes: FileActions;
}

/**
 * File changes to be made in one step, in order. Immutable.
 *
 * @example
 * ```ts
 * import { files, image, scratch } from 'kiln/llb';
 *
 * const changes = files()
 *   .mkdir('/app', 0o755)
 *   .mkfile('/app/version', 0o644, '1.0', { owner: 'nobody:nogroup' })
 *   .symlink('/app/version', '/version')
 *   .rm('/tmp/*', { allowWildcard: true, allowNotFound: true });
 * const tree = image('alpine').file(changes.copy(scratch(), '/', '/empty', { createDestPath: true }));
 * assert.equal(changes.actions.length, 4);
 * assert.notEqual(tree.output, undefined);
 * ```
 */
export class FileActions {
  readonly #before: FileActions | undefined;
  readonly #last: PendingAction | undefined;

  constructor(before?: FileActions, last?: PendingAction) {
    this.#before = before;
    this.#last = last;
  }

  get actions(): readonly PendingAction[] {
    const actions: PendingAction[] = [];
    for (let at: FileActions | undefined = this; at; at = at.#before) if (at.#last) actions.push(at.#last);
    return actions.reverse();
  }

  /** The files of a tree after these changes, for `copy` to read: the changes are part of the same step, and `tree` stays as it is. */
  on(tree: DescribedTree): ChangedFiles {
    return Object.freeze({ tree, changes: this });
  }

  /** Copies `src` (a path in `from`, relative to its working directory) to `dest`. */
  copy(
    from: DescribedTree | ChangedFiles,
    src: string,
    dest: string,
    options: CopyOptions = {},
  ): FileActions {
    const { settings } = isChanged(from) ? from.tree : from;
    const needs: Capability[] = [];
    if (options.includePatterns?.length || options.excludePatterns?.length)
      needs.push(capabilities.fileCopyPatterns);
    if (options.requiredPaths?.length) needs.push(capabilities.fileCopyRequiredPaths);
    if (options.alwaysReplaceExistingDestPaths) needs.push(capabilities.fileCopyReplaceExisting);
    if (typeof options.mode === 'string') needs.push(capabilities.fileCopyModeString);
    return this.#with({
      from,
      needs,
      change: (dir, owner) => ({
        kind: 'copy',
        src: joinPath('/', src.startsWith('/') ? '' : settings.dir, src),
        dest: resolve(dir, dest, true),
        ...owned(owner(options.owner), options),
        ...(typeof options.mode === 'number' && { mode: options.mode }),
        modeString: typeof options.mode === 'string' ? options.mode : '',
        followSymlink: options.followSymlink ?? false,
        dirCopyContents: options.dirCopyContents ?? false,
        unpackArchive: options.unpackArchive ?? false,
        createDestPath: options.createDestPath ?? false,
        allowWildcard: options.allowWildcard ?? false,
        allowEmptyWildcard: options.allowEmptyWildcard ?? false,
        includePatterns: options.includePatterns ?? [],
        excludePatterns: options.excludePatterns ?? [],
        requiredPaths: options.requiredPaths ?? [],
        alwaysReplaceExistingDestPaths: options.alwaysReplaceExistingDestPaths ?? false,
      }),
    });
  }

  mkfile(path: string, mode: number, data: string | Uint8Array, options: CreateOptions = {}): FileActions {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    return this.#with({
      needs: [],
      change: (dir, owner) => ({
        kind: 'mkfile',
        path: resolve(dir, path, false),
        mode: mode & 0o777,
        data: bytes,
        ...owned(owner(options.owner), options),
      }),
    });
  }

  mkdir(
    path: string,
    mode: number,
    options: CreateOptions & { readonly parents?: boolean } = {},
  ): FileActions {
    return this.#with({
      needs: [],
      change: (dir, owner) => ({
        kind: 'mkdir',
        path: resolve(dir, path, false),
        mode: mode & 0o777,
        makeParents: options.parents ?? false,
        ...owned(owner(options.owner), options),
      }),
    });
  }

  /** Creates `newPath` as a symbolic link that holds `oldPath`. */
  symlink(oldPath: string, newPath: string, options: CreateOptions = {}): FileActions {
    return this.#with({
      needs: [capabilities.fileSymlink],
      change: (_dir, owner) => ({
        kind: 'symlink',
        oldPath,
        newPath,
        ...owned(owner(options.owner), options),
      }),
    });
  }

  rm(
    path: string,
    options: { readonly allowNotFound?: boolean; readonly allowWildcard?: boolean } = {},
  ): FileActions {
    return this.#with({
      needs: options.allowWildcard ? [capabilities.fileRmWildcard] : [],
      change: (dir) => ({
        kind: 'rm',
        path: resolve(dir, path, false),
        allowNotFound: options.allowNotFound ?? false,
        allowWildcard: options.allowWildcard ?? false,
      }),
    });
  }

  #with(action: PendingAction): FileActions {
    return new FileActions(this, Object.freeze(action));
  }
}

export function isChanged(from: DescribedTree | ChangedFiles): from is ChangedFiles {
  return 'changes' in from;
}

/** The start of a list of file changes. */
export function files(): FileActions {
  return new FileActions();
}

/** Splits `user[:group]`. `root` and numbers of 32 bits are ids, other names are looked up in input `input`. */
export function parseOwner(spec: string, input: number): Owner {
  const [user = '', group] = spec.split(/:(.*)/s);
  const id = (name: string): OwnerId => {
    if (name === 'root') return { kind: 'id', id: 0 };
    if (/^[+-]?\d+$/.test(name) && Number(name) === (Number(name) | 0)) {
      return { kind: 'id', id: Number(name) >>> 0 };
    }
    // The wire has no empty name: it means root.
    return name === '' ? { kind: 'id', id: 0 } : { kind: 'name', name, input };
  };
  return { user: id(user), ...(group !== undefined && { group: id(group) }) };
}

function owned(
  owner: Owner | undefined,
  { timestamp }: CreateOptions,
): { owner?: Owner; timestamp?: bigint } {
  return { ...(owner && { owner }), ...(timestamp !== undefined && { timestamp }) };
}

function resolve(dir: string, path: string, keepSlash: boolean): string {
  const clean = cleanPath(path);
  const absolute = clean.startsWith('/') ? clean : joinPath('/', dir, clean);
  if (!keepSlash) return absolute;
  const slashed = absolute.endsWith('/') ? absolute : `${absolute}/`;
  if (path.endsWith('/')) return slashed;
  return path.endsWith('/.') ? `${slashed}.` : absolute;
}
