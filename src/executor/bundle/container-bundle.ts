import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { resolveInRoot } from '../../base/rooted-path.ts';
import { bindMount, mount } from '../../linux/mount.ts';
import { mountFlags } from '../../linux/mount-flags.ts';
import type { NetworkNamespace } from '../../linux/network/network-namespace.ts';
import { openInRoot } from '../../linux/open-in-root.ts';
import { mountOverlay } from '../../linux/overlay.ts';
import type { TerminalSize } from '../../linux/process/pseudo-terminal.ts';
import { unmountInBackground } from '../../linux/unmount-in-background.ts';
import { userDatabase } from '../../linux/user-database.ts';
import type { SnapshotMount } from '../../snapshot/snapshot.ts';
import { deviceMount } from '../cdi/apply-edits.ts';
import { completeNode } from '../cdi/complete-node.ts';
import type { ContainerEdits } from '../cdi/container-edits.ts';
import type { Emulator } from '../emulation/emulator.ts';
import type { OtherProcess, ProcessMount, ProcessSpec } from '../executor.ts';
import { refuseOverKernelFiles } from '../mounts/kernel-files.ts';
import { type MountPoint, MountStubs } from '../mounts/mount-stubs.ts';
import { fromPathUp, type OciMount } from '../mounts/oci-mount.ts';
import { lookupUser } from './container-user.ts';
import { hostsFile } from './hosts-file.ts';
import type { OpenFileLimits } from './open-file-limits.ts';
import { type ResolvConfOptions, resolvConf } from './resolv-conf.ts';
import {
  otherProcess,
  type ProcessConfig,
  runtimeSpec,
  type SeccompOptions,
  systemMounts,
} from './runtime-spec.ts';

/** What the executor decides about a container, beyond its process. */
export interface BundleOptions {
  /** The host's, a new one in which there is nothing, or that of a namespace. */
  readonly network: 'host' | 'none' | NetworkNamespace;
  readonly cgroupsPath: string;
  readonly cgroupNamespace: boolean;
  readonly seccomp: SeccompOptions | undefined;
  readonly openFiles: OpenFileLimits;
  /** How it finds out the addresses of names. */
  readonly names: Omit<ResolvConfOptions, 'onHost'>;
  /** Give the process a terminal. */
  readonly terminal?: TerminalSize;
  /** What the process's devices change. */
  readonly edits: ContainerEdits;
  /** Runs what the machine cannot run itself. */
  readonly emulator: Emulator | undefined;
}

/** The mode of a directory where everybody may make files. */
const freeForAll = 0o1777;

/**
 * An OCI bundle on disk: one directory with the runtime's configuration, the supplied files, and the mount points of
 * everything that has to be mounted on the host. It owns those mounts: disposing unmounts and removes it all,
 * in whatever state it is.
 */
export class ContainerBundle implements AsyncDisposable {
  readonly dir: string;
  /** The root of the container's file tree on the host. */
  readonly rootfs: string;
  readonly #mounted: string[] = [];
  readonly #mounts: OciMount[] = [];
  /** The mounts of every container and those of this one, by destination: the last of several in one place. */
  readonly #byDestination: Map<string, OciMount>;
  readonly #spec: ProcessSpec;
  #stubs: MountStubs | undefined;
  #process: ProcessConfig | undefined;

  private constructor(dir: string, spec: ProcessSpec) {
    this.dir = dir;
    this.#spec = spec;
    const system = systemMounts(spec.security === 'insecure');
    this.#byDestination = new Map(system.map((each) => [each.destination, each]));
    this.rootfs =
      spec.rootfs.kind === 'bind' && !spec.rootfs.readonly ? spec.rootfs.source : path.join(dir, 'rootfs');
  }

  /** Makes the bundle `dir`, whose parent exists. Leaves nothing behind when it fails. */
  static async create(
    dir: string,
    spec: ProcessSpec,
    options: BundleOptions,
    signal: AbortSignal,
  ): Promise<ContainerBundle> {
    mkdirSync(dir, { mode: 0o700 });
    const bundle = new ContainerBundle(dir, spec);
    try {
      bundle.#mountRootfs(spec.rootfs);
      await bundle.bringUsers(signal);
      bundle.#fill(options);
      return bundle;
    } catch (error) {
      await bundle[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where the container's `name` lies on the host: in the tree, or in what is bound over it. */
  locate(name: string): string {
    const wanted = path.posix.resolve('/', name);
    const over = this.#mountAt([...fromPathUp(wanted)], ({ type }) => type === 'bind');
    return over
      ? resolveInRoot(over.source, wanted.slice(over.destination.length))
      : resolveInRoot(this.rootfs, wanted);
  }

  /** To be awaited before users are looked up: see `PartialFiles`. */
  async bringUsers(signal: AbortSignal): Promise<void> {
    const { partlyHere } = this.#spec.rootfs;
    if (!partlyHere) return;
    await partlyHere.bring(
      userDatabase.map((name) => ({ path: resolveInRoot(this.rootfs, name) })),
      signal,
    );
  }

  /** To be awaited before programs are looked into: see `PartialFiles`. */
  async bringAll(signal: AbortSignal): Promise<void> {
    const { rootfs, mounts } = this.#spec;
    const trees = mounts.flatMap((each) => (each.kind === 'tree' ? [each.mount] : []));
    for (const { partlyHere } of [rootfs, ...trees]) await partlyHere?.complete(signal);
  }

  /** The runtime's description of another process in the container. Throws `not_found` for a user that the tree does not know. */
  otherProcess(spec: OtherProcess, terminal: TerminalSize | undefined): object {
    const user = spec.user === '' ? undefined : lookupUser(this.rootfs, spec.user);
    return otherProcess(this.#process!, spec, user, terminal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stubs?.remove();
    for (const target of this.#mounted.toReversed()) await unmountInBackground(target);
    this.#mounted.length = 0;
    await rm(this.dir, { recursive: true, force: true });
  }

  #fill(options: BundleOptions): void {
    const spec = this.#spec;
    const user = lookupUser(this.rootfs, spec.user);
    const points: MountPoint[] = [
      // A base that lacks these has them in its layers afterwards, as with BuildKit: digests are to be the same.
      ...['/proc', '/dev', '/sys'].map((dest): MountPoint => ({ dest, kind: 'directory', keep: true })),
      ...['/etc/resolv.conf', '/etc/hosts'].map((dest): MountPoint => ({ dest, kind: 'file' })),
    ];
    this.#addMounts(options.edits.mounts.map(deviceMount));
    const own = spec.mounts.map((processMount, index) => {
      const prepared = this.#prepare(processMount, index);
      this.#addMounts([prepared]);
      return prepared;
    });
    refuseOverKernelFiles(this.rootfs, this.#mounts);
    points.push(
      ...this.#mounts.map((each) => ({
        dest: each.destination,
        kind: kindOf(each),
        // runc takes the mode from what it finds, whatever the mount's options say.
        ...(each.type === 'tmpfs' && { mode: freeForAll }),
      })),
    );
    this.#stubs = new MountStubs(this.rootfs, { recursive: spec.removeMountStubsRecursive });
    this.#stubs.make(points);
    const nodes = options.edits.deviceNodes.map((node) => completeNode(node, user));
    const madeNodes = nodes.filter(({ path: name }) => this.#isInTree(name));
    this.#stubs.makeNodes(madeNodes);
    this.#makeWorkingDirectory(user);

    const hosts = path.join(this.dir, 'hosts');
    const resolv = path.join(this.dir, 'resolv.conf');
    writeFileSync(hosts, hostsFile(spec.hostname, spec.extraHosts), { mode: 0o644 });
    writeFileSync(resolv, resolvConf({ onHost: options.network === 'host', ...options.names }), {
      mode: 0o644,
    });
    const config = runtimeSpec(spec, {
      ...options,
      rootfs: this.rootfs,
      hostsFile: hosts,
      resolvConf: resolv,
      mounts: own,
      devices: { ...options.edits, deviceNodes: nodes, madeNodes: madeNodes.map(({ path: name }) => name) },
      user,
      emulation: options.emulator && {
        emulator: options.emulator,
        rootfs: this.rootfs,
        sysfs: options.network === 'none' ? undefined : this.#mountSysfs(options.network),
      },
    });
    this.#process = config.process;
    writeFileSync(path.join(this.dir, 'config.json'), JSON.stringify(config), { mode: 0o600 });
  }

  #mountRootfs(rootfs: SnapshotMount): void {
    if (this.rootfs !== path.join(this.dir, 'rootfs')) return;
    mkdirSync(this.rootfs, { mode: 0o755 });
    if (rootfs.kind === 'overlay' && rootfs.upperDir !== undefined) {
      mountOverlay(rootfs, this.rootfs);
    } else {
      // Mount points must be made somewhere: what is written here goes away with the bundle.
      const upperDir = path.join(this.dir, 'upper');
      const workDir = path.join(this.dir, 'work');
      mkdirSync(upperDir);
      const lowerDirs = rootfs.kind === 'bind' ? [rootfs.source] : rootfs.lowerDirs;
      mountOverlay({ lowerDirs, upperDir, workDir }, this.rootfs);
    }
    this.#mounted.push(this.rootfs);
  }

  /** A sysfs of the network without what is mounted in that of the host: a container could write there. */
  #mountSysfs(network: 'host' | NetworkNamespace): string {
    const target = path.join(this.dir, 'sys');
    mkdirSync(target);
    const { nosuid, nodev, noexec, rdonly } = mountFlags;
    const access = this.#spec.security === 'insecure' ? 0 : rdonly;
    const make = () =>
      mount({ source: 'sysfs', target, type: 'sysfs', flags: nosuid | nodev | noexec | access });
    if (network === 'host') make();
    else network.run(make);
    this.#mounted.push(target);
    return target;
  }

  #prepare(processMount: ProcessMount, index: number): OciMount {
    const destination = path.posix.resolve('/', processMount.dest);
    const place = path.join(this.dir, `mount${index}`);
    switch (processMount.kind) {
      case 'tree': {
        const tree = this.#mountTree(processMount.mount, place);
        const source = this.#select(tree, processMount.selector, `${place}s`, destination);
        return {
          destination,
          type: 'bind',
          source,
          options: ['rbind', ...(processMount.readonly ? ['ro'] : [])],
        };
      }
      case 'tmpfs': {
        const size = processMount.size > 0 ? [`size=${processMount.size}`] : [];
        const mode = `mode=${this.#tmpfsMode(destination).toString(8)}`;
        return { destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', mode, ...size] };
      }
      case 'file': {
        const source = this.#writeSecret(processMount, place);
        return { destination, type: 'bind', source, options: ['rbind', 'ro', 'nosuid', 'nodev', 'noexec'] };
      }
      case 'host': {
        const options = ['rbind', ...(processMount.readonly ? ['ro'] : [])];
        return { destination, type: 'bind', source: processMount.source, options };
      }
    }
  }

  /** The mode of what a tmpfs is mounted over, as runc gives it (crun takes the kernel's); that of `/tmp` where nothing is. */
  #tmpfsMode(destination: string): number {
    const [, ...above] = fromPathUp(destination);
    const below = this.#mountAt(above);
    const name = destination.slice(below?.destination.length ?? 0);
    // What is below a mount that begins empty is made by the runtime. The kernel's own trees are the host's.
    const file =
      below === undefined
        ? resolveInRoot(this.rootfs, name)
        : below.type === 'bind'
          ? resolveInRoot(below.source, name)
          : below.type === 'tmpfs'
            ? undefined
            : destination;
    const existing = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
    return existing?.isDirectory() ? existing.mode & 0o7777 : freeForAll;
  }

  /** The mount at the first of these places that has one. */
  #mountAt(
    places: readonly string[],
    isWanted: (mount: OciMount) => boolean = () => true,
  ): OciMount | undefined {
    for (const place of places) {
      const found = this.#byDestination.get(place);
      if (found && isWanted(found)) return found;
    }
    return undefined;
  }

  #addMounts(mounts: readonly OciMount[]): void {
    this.#mounts.push(...mounts);
    for (const mount of mounts) this.#byDestination.set(mount.destination, mount);
  }

  /** Returns a directory that shows the tree. */
  #mountTree(tree: SnapshotMount, place: string): string {
    if (tree.kind === 'bind') return tree.source;
    if (tree.upperDir === undefined && tree.lowerDirs.length === 1) return tree.lowerDirs[0]!;
    mkdirSync(place);
    mountOverlay(tree, place);
    this.#mounted.push(place);
    return place;
  }

  /** Pins `selector` of `tree` at `place`: a shared cache may be changed by others while this container starts. */
  #select(tree: string, selector: string, place: string, destination: string): string {
    if (path.posix.resolve('/', selector) === '/') return tree;
    try {
      using held = openInRoot(tree, selector);
      if (statSync(held.path).isDirectory()) mkdirSync(place);
      else writeFileSync(place, '');
      bindMount(held.path, place, { recursive: true });
      this.#mounted.push(place);
      return place;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== 'ENOENT' && errno !== 'ENOTDIR') throw error;
      throw new KilnError('not_found', `${selector} does not exist in what is mounted at ${destination}`, {
        cause: error,
        hint: "check the mount's source path",
      });
    }
  }

  #writeSecret({ data, uid, gid, mode }: Extract<ProcessMount, { kind: 'file' }>, place: string): string {
    mkdirSync(place, { mode: 0o700 });
    const { nosuid, nodev, noexec } = mountFlags;
    mount({
      source: 'tmpfs',
      target: place,
      type: 'tmpfs',
      flags: nosuid | nodev | noexec,
      data: `mode=0700,size=${data.length + 65536}`,
    });
    this.#mounted.push(place);
    const file = path.join(place, 'data');
    writeFileSync(file, data, { mode: 0o600, flag: 'wx' });
    chownSync(file, uid, gid);
    chmodSync(file, mode & 0o7777);
    return file;
  }

  /** Whether a device node would be left in the tree by a runtime that makes it, being below no mount. */
  #isInTree(name: string): boolean {
    const over = ['/dev', '/proc', '/sys', ...this.#mounts.map(({ destination }) => destination)];
    return !over.some((destination) => isBelow(path.posix.resolve('/', name), destination));
  }

  /** What is missing of it belongs to the process's user. Below a mount it is the runtime that makes it. */
  #makeWorkingDirectory({ uid, gid }: { readonly uid: number; readonly gid: number }): void {
    const cwd = path.posix.resolve('/', this.#spec.cwd);
    if (this.#mounts.some(({ destination }) => isBelow(cwd, destination))) return;
    const dir = resolveInRoot(this.rootfs, cwd);
    const stat = statSync(dir, { throwIfNoEntry: false });
    if (stat?.isDirectory()) return;
    if (stat) throw new KilnError('failed_precondition', `the working directory ${cwd} is not a directory`);
    makeOwnedDirectory(dir, uid, gid);
  }
}

function makeOwnedDirectory(dir: string, uid: number, gid: number): void {
  const parent = path.dirname(dir);
  if (!statSync(parent, { throwIfNoEntry: false })) makeOwnedDirectory(parent, uid, gid);
  mkdirSync(dir);
  chmodSync(dir, 0o755);
  chownSync(dir, uid, gid);
}

function isBelow(name: string, dir: string): boolean {
  return name === dir || name.startsWith(dir === '/' ? '/' : `${dir}/`);
}

function kindOf({ type, source, destination }: OciMount): MountPoint['kind'] {
  if (type !== 'bind') return 'directory';
  const stats = statSync(source, { throwIfNoEntry: false });
  if (stats) return stats.isDirectory() ? 'directory' : 'file';
  throw new KilnError('failed_precondition', `${source}, to be mounted at ${destination}, does not exist`);
}
