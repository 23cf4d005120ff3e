import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import type { FileChange, FileCopy, FileMkdir, FileMkfile, FileRm, FileSymlink } from '../llb/op.ts';
import type { FileOps, PreparedAction } from './file-op.ts';
import { createFileOps } from './thread-file-ops.ts';

export const copyDefaults: FileCopy = {
  src: '/',
  dest: '/',
  modeString: '',
  followSymlink: false,
  dirCopyContents: false,
  unpackArchive: false,
  createDestPath: true,
  allowWildcard: false,
  allowEmptyWildcard: false,
  includePatterns: [],
  excludePatterns: [],
  requiredPaths: [],
  alwaysReplaceExistingDestPaths: false,
};

/** For tests: a source and a target tree in a temporary directory, and ops to apply to them. */
export class FileOpRig implements AsyncDisposable {
  readonly dir = mkdtempSync(path.join(tmpdir(), 'kiln-file-op-'));
  readonly source = path.join(this.dir, 'source');
  readonly target = path.join(this.dir, 'target');
  /** Where a layer may become an image. */
  readonly image = path.join(this.dir, 'image');
  readonly #pool = new ThreadPool({ size: 1 });
  readonly #ops: FileOps = createFileOps({ pool: this.#pool });

  constructor() {
    mkdirSync(this.source);
    mkdirSync(this.target);
  }

  /** Makes files by a shell script that runs in the source tree. */
  make(script: string): this {
    execFileSync('bash', ['-euc', script], { cwd: this.source });
    return this;
  }

  /** The same in the target tree. */
  makeTarget(script: string): this {
    execFileSync('bash', ['-euc', script], { cwd: this.target });
    return this;
  }

  /** Copies into the target as into a layer that is not mounted. Returns how many copies were made. */
  copyToLayer(
    copies: readonly Partial<FileCopy>[],
    {
      mayMakeImage = false,
      lowerDirs = [],
      signal = new AbortController().signal,
    }: {
      readonly mayMakeImage?: boolean;
      readonly lowerDirs?: readonly string[];
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<number> {
    const actions = copies.map(
      (copy): PreparedAction => ({
        target: this.target,
        source: { path: this.source },
        change: { kind: 'copy', ...copyDefaults, ...copy },
        owners: {},
      }),
    );
    const layer = { dir: this.target, lowerDirs, ...(mayMakeImage && { image: this.image }) };
    return this.#ops.applyToLayer(actions, layer, signal);
  }

  copy(copy: Partial<FileCopy>, more: Partial<PreparedAction> = {}): Promise<void> {
    return this.apply({ kind: 'copy', ...copyDefaults, ...copy }, more);
  }

  mkdir(mkdir: Partial<FileMkdir> & { readonly path: string }): Promise<void> {
    return this.apply({ kind: 'mkdir', mode: 0o755, makeParents: false, ...mkdir });
  }

  mkfile(mkfile: Partial<FileMkfile> & { readonly path: string }): Promise<void> {
    return this.apply({ kind: 'mkfile', mode: 0o644, data: Buffer.from('new'), ...mkfile });
  }

  symlink(symlink: FileSymlink): Promise<void> {
    return this.apply({ kind: 'symlink', ...symlink });
  }

  rm(rm: Partial<FileRm> & { readonly path: string }): Promise<void> {
    return this.apply({ kind: 'rm', allowNotFound: false, allowWildcard: false, ...rm });
  }

  apply(
    change: FileChange,
    more: Partial<PreparedAction> = {},
    signal = new AbortController().signal,
  ): Promise<void> {
    const action: PreparedAction = {
      target: this.target,
      source: { path: this.source },
      change,
      owners: { 0: { path: this.target } },
      ...more,
    };
    return this.#ops.apply([action], signal);
  }

  /** What `find -printf format` says about a tree (the target) below its root, in order; by default the names. */
  found(format = '%P', tree = this.target): string[] {
    const output = execFileSync('find', [tree, '-mindepth', '1', '-printf', `${format}\n`], {
      encoding: 'utf8',
    });
    return output.split('\n').filter(Boolean).sort();
  }

  has(name: string): boolean {
    return existsSync(path.join(this.target, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
