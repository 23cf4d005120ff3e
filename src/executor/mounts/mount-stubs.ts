import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { resolveInRoot } from '../../base/rooted-path.ts';
import { makeDevice, mknod } from '../../linux/mknod.ts';
import { utimens } from '../../linux/utimens.ts';
import type { CompleteNode } from '../cdi/complete-node.ts';
import { fromPathUp } from './oci-mount.ts';

/** A place where something will be mounted: absolute in the container. */
export interface MountPoint {
  readonly dest: string;
  readonly kind: 'directory' | 'file';
  /** Of what is made here; without it, as usual: 0755 or 0644. */
  readonly mode?: number;
  /** It stays in the tree, as if it had always been there; unless another point lies below it. */
  readonly keep?: boolean;
}

interface Stub {
  /** In the tree, resolved when it was made. */
  readonly name: string;
  readonly kind: 'directory' | 'file' | 'node';
}

const nodeTypes = { b: 0o060000, c: 0o020000, u: 0o020000, p: 0o010000 } as const;
const defaultNodeMode = 0o666;

/**
 * Mount points that a tree lacks: made before the container starts, removed after it when the process left them empty,
 * so that supplied files and mounts leave nothing in the layer. The times of the directories around stay as they are.
 */
export class MountStubs {
  readonly #root: string;
  readonly #made: Stub[] = [];
  readonly #keepParents: boolean;

  /** With `recursive`, parent directories made on the way are removed too; without it only the mount points. */
  constructor(root: string, options: { readonly recursive: boolean }) {
    this.#root = root;
    this.#keepParents = !options.recursive;
  }

  /** Makes what is missing of `points`. A point below another one lies in what is mounted there and is left to the runtime. */
  make(points: readonly MountPoint[]): void {
    const all = new Set(points.map(({ dest }) => path.posix.resolve('/', dest)));
    const parents = new Set([...all].flatMap(directoriesAbove));
    for (const { dest, kind, mode, keep = false } of points) {
      const wanted = path.posix.resolve('/', dest);
      if (directoriesAbove(wanted).some((directory) => all.has(directory))) continue;
      const isParent = parents.has(wanted);
      const file = resolveInRoot(this.#root, wanted);
      if (this.#makeOne(file, kind, keep && !isParent) && mode !== undefined) chmodSync(file, mode);
    }
  }

  /** Makes device nodes, which are removed like stubs. What is in the tree already stays as it is. */
  makeNodes(nodes: readonly CompleteNode[]): void {
    for (const node of nodes) {
      const file = resolveInRoot(this.#root, path.posix.resolve('/', node.path));
      if (lstatSync(file, { throwIfNoEntry: false })) continue;
      this.#makeParent(path.dirname(file), { keep: false, recursive: true });
      keepingTimes(path.dirname(file), () => {
        mknod(file, nodeTypes[node.type], makeDevice(node.major, node.minor));
        chownSync(file, node.uid ?? 0, node.gid ?? 0);
        chmodSync(file, node.fileMode ?? defaultNodeMode);
      });
      this.#made.push({ name: file.slice(this.#root.length), kind: 'node' });
    }
  }

  /** Returns whether it was missing. */
  #makeOne(file: string, kind: MountPoint['kind'], keep: boolean): boolean {
    if (file === this.#root || lstatSync(file, { throwIfNoEntry: false })) return false;
    const parent = path.dirname(file);
    this.#makeParent(parent, { keep, recursive: !this.#keepParents });
    keepingTimes(parent, () => {
      if (kind === 'directory') mkdirSync(file);
      else writeFileSync(file, '', { flag: 'wx' });
      // Whatever the umask: it may stay in the tree.
      chmodSync(file, kind === 'directory' ? 0o755 : 0o644);
    });
    if (!keep) this.#made.push({ name: file.slice(this.#root.length), kind });
    return true;
  }

  #makeParent(
    parent: string,
    { keep, recursive }: { readonly keep: boolean; readonly recursive: boolean },
  ): void {
    if (lstatSync(parent, { throwIfNoEntry: false })) return;
    if (recursive) this.#makeOne(parent, 'directory', keep);
    else makeDirectories(parent);
  }

  /** Removes the stubs that are still empty and still where they were made. */
  remove(): void {
    for (const { name, kind } of this.#made.splice(0).reverse()) {
      const file = path.join(this.#root, name);
      const parent = path.dirname(file);
      // The process may have put a link in the way since: never follow one.
      if (resolveInRoot(this.#root, path.dirname(name)) !== parent) continue;
      const stat = lstatSync(file, { throwIfNoEntry: false });
      try {
        if (kind === 'directory' && stat?.isDirectory()) keepingTimes(parent, () => rmdirSync(file));
        else if (
          (kind === 'file' && stat?.isFile() && stat.size === 0) ||
          (kind === 'node' && (stat?.isCharacterDevice() || stat?.isBlockDevice() || stat?.isFIFO()))
        )
          keepingTimes(parent, () => unlinkSync(file));
      } catch (error) {
        if (errnoOf(error) !== 'ENOTEMPTY') throw error;
      }
    }
  }
}

function directoriesAbove(name: string): string[] {
  return ['/', ...fromPathUp(name)].filter((directory) => directory !== name);
}

/** Whatever the umask. */
function makeDirectories(dir: string): void {
  if (lstatSync(dir, { throwIfNoEntry: false })) return;
  makeDirectories(path.dirname(dir));
  mkdirSync(dir);
  chmodSync(dir, 0o755);
}

/** Gives `dir` back the times it had before `work`. */
function keepingTimes(dir: string, work: () => void): void {
  const { atimeNs, mtimeNs } = statSync(dir, { bigint: true });
  work();
  utimens(dir, atimeNs, mtimeNs);
}
