import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf, KilnError } from '../base/errors.ts';
import { kernelLog } from './kernel-log.ts';

const mountPoint = '/sys/fs/cgroup';
/** The group that holds all containers' groups. */
const family = 'kiln';
/** How often a group that is ending is looked at again, and for how long, in milliseconds. */
const retryInterval = 10;
const patience = 10_000;

/**
 * The control group of one container, in every hierarchy the host has.
 *
 * With cgroup v2 the container runs in a child of the group, so that the group's own memory events can be read
 * after the runtime has removed the child.
 */
export class ContainerCgroup {
  readonly #path: string;

  private constructor(groupPath: string) {
    this.#path = groupPath;
  }

  /** The group of container `id` below `parent`, a path from the hierarchies' roots; empty for the roots themselves. */
  static of(id: string, parent: string): ContainerCgroup {
    // Joined to `/` first, so that `..` in a parent's name leads nowhere.
    return new ContainerCgroup(path.join('/', parent, family, id));
  }

  /** The group that has this `runtimePath`. */
  static atRuntimePath(runtimePath: string): ContainerCgroup {
    return new ContainerCgroup(cgroupVersion() === 2 ? path.dirname(runtimePath) : runtimePath);
  }

  /** `linux.cgroupsPath` of the runtime configuration. */
  get runtimePath(): string {
    return cgroupVersion() === 2 ? path.join(this.#path, 'run') : this.#path;
  }

  get #dirs(): string[] {
    return hierarchies()
      .map((root) => path.join(root, this.#path))
      .filter((dir) => existsSync(dir));
  }

  /** Sends SIGKILL to every process in the group. Returns how many there were. */
  kill(): number {
    const pids = new Set(this.#dirs.flatMap(processes));
    for (const dir of this.#dirs) {
      try {
        if (existsSync(path.join(dir, 'cgroup.kill'))) writeFileSync(path.join(dir, 'cgroup.kill'), '1');
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    }
    for (const pid of pids) sendKill(pid);
    return pids.size;
  }

  /** Sends SIGKILL to a process if it is in the group. */
  killProcess(pid: number): void {
    if (this.#dirs.flatMap(processes).includes(pid)) sendKill(pid);
  }

  /** Whether the kernel's out-of-memory killer ended a process of this container. */
  oomKilled(): boolean {
    for (const dir of this.#dirs) {
      try {
        const events = readFileSync(path.join(dir, 'memory.events'), 'utf8');
        return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0) > 0;
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    }
    // cgroup v1 counts in the group itself, which the runtime has removed by now. The kernel's report names it.
    return new RegExp(`oom-kill:.*task_memcg=[^,]*/${path.basename(this.#path)}[,/]`).test(kernelLog());
  }

  /** Kills what still runs and removes the group everywhere. */
  async remove(): Promise<void> {
    const deadline = Date.now() + patience;
    for (;;) {
      const left = this.#dirs.filter((dir) => !removeGroup(dir));
      if (left.length === 0) return;
      if (Date.now() > deadline) {
        throw new KilnError('internal', `cannot remove the control group ${left[0]}: it stays busy`);
      }
      this.kill();
      await delay(retryInterval);
    }
  }
}

function sendKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}

export function cgroupVersion(): 1 | 2 {
  return existsSync(path.join(mountPoint, 'cgroup.controllers')) ? 2 : 1;
}

/** The roots of the hierarchies; none on a host without control groups. */
function hierarchies(): string[] {
  if (cgroupVersion() === 2) return [mountPoint];
  try {
    return readdirSync(mountPoint).map((name) => path.join(mountPoint, name));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function processes(dir: string): number[] {
  try {
    const own = readFileSync(path.join(dir, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
    return [...own, ...children(dir).flatMap(processes)].filter((pid) => pid > 0);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function children(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(dir, entry.name));
}

/** False when the group is still busy. */
function removeGroup(dir: string): boolean {
  try {
    if (!children(dir).every(removeGroup)) return false;
    rmdirSync(dir);
    return true;
  } catch (error) {
    if (isGone(error)) return true;
    if (errnoOf(error) === 'EBUSY') return false;
    throw error;
  }
}

/** Groups may go away at any time; reading one that did fails with ENODEV. */
function isGone(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'ENOENT' || errno === 'ENODEV' || errno === 'ENOTDIR';
}
