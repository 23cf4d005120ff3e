import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { unmount } from '../../linux/mount.ts';
import { unmountBelow } from '../../linux/mount-table.ts';
import { mountSnapshot } from '../../snapshot/mount-snapshot.ts';
import type { SnapshotMount } from '../../snapshot/snapshot.ts';
import type { MountedView } from '../ref.ts';

interface SharedMount {
  readonly ready: Promise<{ readonly path: string; readonly mounted: boolean }>;
  users: number;
}

/**
 * Mounts through which this process reads and writes trees. Users of the same tree share one mount, which ends with the
 * last of them; a tree that is one plain directory is not mounted at all.
 */
export class RefMounts implements AsyncDisposable {
  readonly #root: string;
  readonly #mounts = new Map<string, SharedMount>();
  #next = 0;

  /** `root` is a directory that nobody else uses; mounts that a killed process left in it are ended. */
  constructor(root: string) {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    this.#root = root;
    this.#clean();
  }

  /** `key` names the tree and the access to it; `resolve` is called only when nothing is mounted under that key. */
  async mount(key: string, resolve: () => Promise<SnapshotMount>): Promise<MountedView> {
    const existing = this.#mounts.get(key);
    const shared: SharedMount = existing ?? { ready: resolve().then((mount) => this.#make(mount)), users: 0 };
    this.#mounts.set(key, shared);
    shared.users++;
    let held = true;
    const leave = async () => {
      if (!held) return;
      held = false;
      if (--shared.users > 0) return;
      this.#mounts.delete(key);
      const made = await shared.ready.catch(() => undefined);
      if (made?.mounted) this.#end(made.path);
    };
    try {
      const { path: target } = await shared.ready;
      return { path: target, [Symbol.asyncDispose]: leave };
    } catch (error) {
      await leave();
      throw error;
    }
  }

  #make(mount: SnapshotMount): { readonly path: string; readonly mounted: boolean } {
    if (mount.kind === 'bind') return { path: mount.source, mounted: false };
    const target = path.join(this.#root, `${this.#next++}`);
    mkdirSync(target, { mode: 0o700 });
    try {
      mountSnapshot(mount, target);
    } catch (error) {
      rmdirSync(target);
      throw error;
    }
    return { path: target, mounted: true };
  }

  #end(target: string): void {
    unmount(target);
    rmdirSync(target);
  }

  #clean(): void {
    unmountBelow(this.#root);
    for (const name of readdirSync(this.#root)) rmdirSync(path.join(this.#root, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.#mounts.values()].map(({ ready }) => ready));
    this.#mounts.clear();
    this.#clean();
  }
}
