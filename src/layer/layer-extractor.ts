import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { errnoOf, KilnError } from '../base/errors.ts';
import { isMachineAttribute } from '../linux/machine-attributes.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { isWhiteout, isWhiteoutNumber, makeOpaque, makeWhiteout } from '../linux/overlay-marks.ts';
import { utimens } from '../linux/utimens.ts';
import { setXattr } from '../linux/xattr.ts';
import { type ByteString, fromByteString, toByteString, toSystemPath } from './byte-path.ts';
import { opaqueWhiteout, whiteoutPrefix } from './layer-tar.ts';
import { namesOf } from './resolve-merged.ts';
import type { TarEntry } from './tar-entry.ts';
import type { TarHandler } from './tar-parser.ts';

/** Names with this prefix are aufs's bookkeeping, but for the opaque mark. */
const aufsPrefix = '.wh..wh.';
const maximumLinks = 255;
const parentMode = 0o755;

interface OpenFile {
  readonly descriptor: number;
  readonly path: ByteString;
  readonly entry: TarEntry;
}

/**
 * Applies a layer's entries (OCI image layer specification, "Applying Changesets") to a directory nobody else writes to.
 *
 * - `tree`: the directory holds the layers below; whiteouts delete from it, except what this layer itself brought.
 * - `overlay`: the directory is the layer's own; whiteouts become overlayfs's marks.
 *
 * Names are resolved inside the directory: `..` stops at its root, symbolic links on the way are followed as if it were
 * the root, the last name is never followed. Missing parents are made (0755, root). Files are created exclusively,
 * whatever was there is removed first, but a directory keeps its content when another takes its place.
 * Synchronous: for threads.
 */
export class LayerExtractor implements TarHandler, Disposable {
  readonly #root: ByteString;
  readonly #form: 'overlay' | 'tree';
  /** Parents known to be directories: where each resolved to. Forgotten when anything is removed. */
  readonly #resolved = new Map<ByteString, ByteString>();
  /** Paths this layer brought; needed to tell them from the layers below (tree form). */
  readonly #brought = new Set<ByteString>();
  /** Directories get their times when nothing is put into them any more. */
  readonly #directoryTimes = new Map<ByteString, bigint>();
  #file: OpenFile | undefined;

  constructor(dir: string, form: 'overlay' | 'tree') {
    this.#root = toByteString(dir).replace(/\/+$/, '');
    this.#form = form;
  }

  entry(entry: TarEntry): void {
    const names = splitPath(entry.name);
    const name = names.pop();
    if (name === undefined) return;
    const parent = this.#resolveDirectory(names);
    if (name === opaqueWhiteout) {
      this.#hideAll(parent);
      return;
    }
    if (name.startsWith(aufsPrefix)) return;
    if (name.startsWith(whiteoutPrefix)) {
      this.#hide(parent, name.slice(whiteoutPrefix.length), entry);
      return;
    }
    if (isWhiteoutEntry(entry)) {
      this.#remove(`${parent}/${name}`);
      this.#hide(parent, name, entry);
      return;
    }
    try {
      this.#create(`${parent}/${name}`, entry);
    } catch (error) {
      throw failure(error, entry);
    }
  }

  data(chunk: Uint8Array): void {
    const file = this.#file!;
    try {
      for (let at = 0; at < chunk.length; ) at += writeSync(file.descriptor, chunk, at);
    } catch (error) {
      throw failure(error, file.entry);
    }
  }

  entryEnd(): void {
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    const { entry, path, descriptor } = file;
    try {
      try {
        fchownSync(descriptor, entry.uid, entry.gid);
        this.#setXattrs(path, entry);
        fchmodSync(descriptor, entry.mode);
      } finally {
        closeSync(descriptor);
      }
      utimens(toSystemPath(path), entry.mtime, entry.mtime);
    } catch (error) {
      throw failure(error, entry);
    }
  }

  /** Call after the last entry. */
  finish(): void {
    for (const [path, mtime] of this.#directoryTimes) utimens(toSystemPath(path), mtime, mtime);
  }

  [Symbol.dispose](): void {
    if (this.#file) closeSync(this.#file.descriptor);
    this.#file = undefined;
  }

  #create(path: ByteString, entry: TarEntry): void {
    if (this.#form === 'tree') this.#brought.add(path);
    const file = toSystemPath(path);
    switch (entry.type) {
      case 'directory':
        this.#createDirectory(path, entry);
        return;
      case 'file': {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
        const descriptor = this.#replacing(path, () => openSync(file, flags, 0o600));
        this.#file = { descriptor, path, entry };
        return;
      }
      case 'hardlink': {
        const target = this.#linkTarget(entry);
        if (target === path) return;
        this.#replacing(path, () => linkSync(toSystemPath(target), file));
        break;
      }
      case 'symlink':
        this.#replacing(path, () => symlinkSync(toSystemPath(entry.linkName), file));
        break;
      case 'character-device':
      case 'block-device':
      case 'fifo': {
        const format = { 'character-device': 0o02_0000, 'block-device': 0o06_0000, fifo: 0o01_0000 }[
          entry.type
        ];
        const device = makeDevice(entry.deviceMajor, entry.deviceMinor);
        this.#replacing(path, () => mknod(file, format | 0o600, device));
        break;
      }
    }
    lchownSync(file, entry.uid, entry.gid);
    this.#setXattrs(path, entry);
    if (entry.type !== 'symlink' && !isLinkToSymlink(path, entry)) chmodSync(file, entry.mode);
    utimens(file, entry.mtime, entry.mtime);
  }

  #createDirectory(path: ByteString, entry: TarEntry): void {
    const file = toSystemPath(path);
    const existing = lstatSync(file, { bigint: true, throwIfNoEntry: false });
    if (!existing?.isDirectory()) {
      if (existing) this.#remove(path);
      mkdirSync(file, parentMode);
      // The name was deleted earlier in this layer, so nothing below may show through.
      if (existing && this.#form === 'overlay' && isWhiteout(existing)) makeOpaque(file);
    }
    lchownSync(file, entry.uid, entry.gid);
    this.#setXattrs(path, entry);
    chmodSync(file, entry.mode);
    this.#directoryTimes.set(path, entry.mtime);
  }

  /** Runs `create`, after removing what has its name. */
  #replacing<T>(path: ByteString, create: () => T): T {
    try {
      return create();
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      this.#remove(path);
      return create();
    }
  }

  #remove(path: ByteString): void {
    rmSync(toSystemPath(path), { recursive: true, force: true });
    this.#resolved.clear();
    for (const directory of this.#directoryTimes.keys()) {
      if (directory === path || directory.startsWith(`${path}/`)) this.#directoryTimes.delete(directory);
    }
  }

  /** `.wh.name`: what the layers below have at `name` is gone. */
  #hide(parent: ByteString, name: ByteString, entry: TarEntry): void {
    if (name === '' || name === '.' || name === '..') {
      throw new KilnError(
        'invalid_argument',
        `layer entry ${JSON.stringify(fromByteString(entry.name))} is a whiteout of nothing`,
      );
    }
    const path = `${parent}/${name}`;
    if (this.#form === 'tree') {
      if (!this.#brought.has(path)) this.#remove(path);
      else this.#removeForeign(path);
      return;
    }
    const existing = lstatSync(toSystemPath(path), { bigint: true, throwIfNoEntry: false });
    if (!existing) makeWhiteout(toSystemPath(path));
    else if (existing.isDirectory()) makeOpaque(toSystemPath(path));
  }

  /** `.wh..wh..opq`: nothing of the layers below shows in this directory. */
  #hideAll(directory: ByteString): void {
    if (this.#form === 'tree') this.#removeForeign(directory);
    else makeOpaque(toSystemPath(directory));
  }

  /** Removes from a directory what this layer did not bring, and what is not on the way to that. */
  #removeForeign(directory: ByteString): void {
    const stats = lstatSync(toSystemPath(directory), { throwIfNoEntry: false });
    if (!stats?.isDirectory()) return;
    for (const name of readdirSync(toSystemPath(directory), 'latin1')) {
      const path = `${directory}/${name}`;
      if (this.#brought.has(path)) this.#removeForeign(path);
      else this.#remove(path);
    }
  }

  #setXattrs(path: ByteString, entry: TarEntry): void {
    for (const [name, value] of entry.xattrs ?? []) {
      // An archive must not steer overlayfs, to a directory elsewhere for example.
      if (isMachineAttribute(name)) continue;
      try {
        setXattr(toSystemPath(path), name, Buffer.from(value, 'latin1'));
      } catch (error) {
        // Not every file system has them all, and only files and directories have those of the user.
        const errno = errnoOf(error);
        if (errno === 'ENOTSUP' || errno === 'EOPNOTSUPP') continue;
        if (errno === 'EPERM' && name.startsWith('user.')) continue;
        throw error;
      }
    }
  }

  /** A hard link's target: an entry that came before it. Its last name is not followed. */
  #linkTarget(entry: TarEntry): ByteString {
    const names = splitPath(entry.linkName);
    const name = names.pop();
    const target = name === undefined ? undefined : `${this.#resolveDirectory(names)}/${name}`;
    const stats =
      target === undefined
        ? undefined
        : lstatSync(toSystemPath(target), { bigint: true, throwIfNoEntry: false });
    const isThere = stats !== undefined && !(this.#form === 'overlay' && isWhiteout(stats));
    if (target === undefined || !isThere || stats.isDirectory()) {
      throw new KilnError(
        'invalid_argument',
        `layer entry ${JSON.stringify(fromByteString(entry.name))} is a hard link to ${JSON.stringify(fromByteString(entry.linkName))}, which is ${isThere ? 'a directory' : 'not there'}`,
      );
    }
    return target;
  }

  /** The directory these names lead to from the root, made where it is missing. */
  #resolveDirectory(names: readonly ByteString[]): ByteString {
    if (names.length === 0) return this.#root;
    const key = names.join('/');
    const known = this.#resolved.get(key);
    if (known !== undefined) return known;
    const resolved = this.#walk(names);
    this.#resolved.set(key, resolved);
    return resolved;
  }

  #walk(names: readonly ByteString[]): ByteString {
    const pending = [...names].reverse();
    const passed: ByteString[] = [];
    let links = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (name === '..') {
        passed.pop();
        continue;
      }
      const path = [this.#root, ...passed, name].join('/');
      const file = toSystemPath(path);
      const stats = lstatSync(file, { bigint: true, throwIfNoEntry: false });
      if (stats?.isSymbolicLink()) {
        if (++links > maximumLinks) {
          throw new KilnError(
            'invalid_argument',
            `layer path ${JSON.stringify(fromByteString(names.join('/')))} leads through too many symbolic links`,
          );
        }
        const target = readlinkSync(file, 'latin1');
        if (target.startsWith('/')) passed.length = 0;
        pending.push(...namesOf(target).reverse());
        continue;
      }
      if (!stats) this.#makeParent(path);
      else if (this.#form === 'overlay' && isWhiteout(stats)) {
        this.#remove(path);
        this.#makeParent(path);
        makeOpaque(file);
      } else if (!stats.isDirectory()) {
        throw new KilnError(
          'invalid_argument',
          `layer has entries below ${JSON.stringify(fromByteString([...passed, name].join('/')))}, which is not a directory`,
        );
      }
      passed.push(name);
    }
    return [this.#root, ...passed].join('/');
  }

  #makeParent(path: ByteString): void {
    mkdirSync(toSystemPath(path));
    chmodSync(toSystemPath(path), parentMode);
    if (this.#form === 'tree') this.#brought.add(path);
  }
}

/** Where layers are unpacked into overlays, this device deletes. It means the same everywhere here, whatever lies below. */
export function isWhiteoutEntry({ type, deviceMajor, deviceMinor }: TarEntry): boolean {
  return type === 'character-device' && isWhiteoutNumber(makeDevice(deviceMajor, deviceMinor));
}

/** A hard link may share its file with a symbolic link, whose mode cannot be set. */
function isLinkToSymlink(path: ByteString, entry: TarEntry): boolean {
  return entry.type === 'hardlink' && lstatSync(toSystemPath(path)).isSymbolicLink();
}

/** A path's names with `..` applied, which stops at the root. */
function splitPath(path: ByteString): ByteString[] {
  const names: ByteString[] = [];
  for (const name of namesOf(path)) {
    if (name === '..') names.pop();
    else names.push(name);
  }
  return names;
}

function failure(error: unknown, entry: TarEntry): unknown {
  const errno = errnoOf(error);
  if (error instanceof KilnError || errno === undefined) return error;
  const what = `cannot unpack layer entry ${JSON.stringify(fromByteString(entry.name))}`;
  const message = error instanceof Error ? error.message : errno;
  return Object.assign(new Error(`${what}: ${message}`, { cause: error }), { code: errno });
}
