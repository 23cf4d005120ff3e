import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { errnoOf, KilnError } from '../base/errors.ts';
import { type ByteString, fromByteString, toByteString, toSystemPath } from '../base/text/byte-string.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { utimens } from '../linux/utimens.ts';
import { setXattr } from '../linux/xattr.ts';
import { EntryCopier } from '../tree/entry-copier.ts';
import { isMachineAttribute } from '../tree/machine-attributes.ts';
import { type MergedDirectory, type MergedEntry, treeBelow } from '../tree/merged-directory.ts';
import { isWhiteout, isWhiteoutNumber, makeOpaque, makeWhiteout } from '../tree/overlay-marks.ts';
import { namesOf } from '../tree/resolve-merged.ts';
import { opaqueWhiteout, whiteoutPrefix } from './layer-tar.ts';
import type { TarEntry } from './tar/tar-entry.ts';
import type { TarHandler } from './tar/tar-parser.ts';

/** Names with this prefix are aufs's bookkeeping, but for the opaque mark. */
const aufsPrefix = '.wh..wh.';
/** As many as the kernel follows. */
const maximumLinks = 40;
const parentMode = 0o755;

interface OpenFile {
  readonly descriptor: number;
  readonly path: ByteString;
  readonly entry: TarEntry;
  /** Where the next bytes go. */
  position: number;
  /** What is before the position has been left out, so far. */
  endsInHole: boolean;
}

/** A directory that an entry made or changed, and those in it. */
interface MadeDirectory {
  mtime?: bigint;
  readonly inside: Map<ByteString, MadeDirectory>;
}

export type ExtractionForm = 'overlay' | 'tree' | 'archive';

/**
 * Applies a layer's entries (OCI image layer specification, "Applying Changesets") to a directory nobody else writes to.
 *
 * - `tree`: the directory holds the layers below; whiteouts delete from it, except what this layer itself brought.
 * - `overlay`: the directory is the layer's own; whiteouts become overlayfs's marks.
 * - `archive`: what is unpacked is no layer, and no name in it stands for a deletion.
 *
 * Names are resolved inside the directory: `..` stops at its root, symbolic links on the way are followed as if it were
 * the root, the last name is never followed. Parents that the layer does not name stay as they are below, or are made (0755, root).
 * Files are created exclusively, whatever was there is removed first, but a directory keeps its content when another takes its place.
 * Synchronous: for threads.
 */
export class LayerExtractor implements TarHandler, Disposable {
  readonly #root: ByteString;
  readonly #form: ExtractionForm;
  /** What the layer's directory shows on those below (overlay form). */
  readonly #shown: MergedDirectory;
  readonly #copier = new EntryCopier();
  /** Parents known to be directories: where each resolved to. Forgotten when anything is removed. */
  readonly #resolved = new Map<ByteString, ByteString>();
  /** Paths this layer brought, and those on the way to them; needed to tell them from the layers below (tree form). */
  readonly #brought = new Set<ByteString>();
  /** Marks of deletions (overlay form). */
  readonly #whiteouts = new Set<ByteString>();
  readonly #isOnLayers: boolean;
  /** Directories in which only what this layer brought is left (tree form). */
  readonly #emptied = new Set<ByteString>();
  /** Directories get their times when nothing is put into them any more. */
  readonly #madeDirectories: MadeDirectory = { inside: new Map() };
  #file: OpenFile | undefined;

  /** `below`: the directories of the layers below, topmost first; of use for the overlay form. */
  constructor(dir: string, form: ExtractionForm, below: readonly string[] = []) {
    this.#root = toByteString(dir).replace(/\/+$/, '');
    this.#form = form;
    this.#isOnLayers = below.length > 0;
    this.#shown = treeBelow([this.#root, ...below.map(toByteString)]);
  }

  entry(entry: TarEntry): void {
    const names = splitPath(entry.name);
    const name = names.pop();
    if (name === undefined) return;
    try {
      const parent = this.#resolveDirectory(names);
      if (this.#form === 'archive' || !this.#isMark(parent, name, entry)) {
        this.#create(`${parent}/${name}`, entry);
      }
    } catch (error) {
      throw this.#failure(error, entry);
    }
  }

  /** Whether the entry is no file but says something of the layers below, which then is done. */
  #isMark(parent: ByteString, name: ByteString, entry: TarEntry): boolean {
    if (name === opaqueWhiteout) this.#hideAll(parent);
    else if (name.startsWith(aufsPrefix)) return true;
    else if (name.startsWith(whiteoutPrefix)) this.#hide(parent, name.slice(whiteoutPrefix.length), entry);
    else if (isWhiteoutEntry(entry)) {
      this.#remove(`${parent}/${name}`);
      this.#hide(parent, name, entry);
    } else return false;
    return true;
  }

  data(chunk: Uint8Array): void {
    const file = this.#file;
    // What is no file can have data, too: a mark of a deletion, or something named like the root.
    if (!file) return;
    try {
      for (let at = 0; at < chunk.length; ) {
        const written = writeSync(file.descriptor, chunk, at, chunk.length - at, file.position);
        at += written;
        file.position += written;
      }
      file.endsInHole = false;
    } catch (error) {
      throw this.#failure(error, file.entry);
    }
  }

  hole(size: number): void {
    const file = this.#file;
    if (!file) return;
    file.position += size;
    file.endsInHole = true;
  }

  entryEnd(): void {
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    const { entry, path, descriptor } = file;
    try {
      try {
        if (file.endsInHole) ftruncateSync(descriptor, file.position);
        fchownSync(descriptor, entry.uid, entry.gid);
        this.#setXattrs(path, entry);
        fchmodSync(descriptor, entry.mode);
      } finally {
        closeSync(descriptor);
      }
      utimens(toSystemPath(path), entry.mtime, entry.mtime);
    } catch (error) {
      throw this.#failure(error, entry);
    }
  }

  /** Call after the last entry. */
  finish(): void {
    if (this.#isOnLayers) this.#removeIdleWhiteouts();
    const pending = [{ path: this.#root, made: this.#madeDirectories }];
    for (let next = pending.pop(); next; next = pending.pop()) {
      const { path, made } = next;
      if (made.mtime !== undefined) utimens(toSystemPath(path), made.mtime, made.mtime);
      for (const [name, inside] of made.inside) pending.push({ path: `${path}/${name}`, made: inside });
    }
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
        this.#file = { descriptor, path, entry, position: 0, endsInHole: false };
        return;
      }
      case 'hardlink': {
        const target = this.#linkTarget(entry);
        if (target === path) return;
        if (target.startsWith(`${path}/`)) {
          throw this.#impossibleLink(entry, 'which lies in the directory that it would replace');
        }
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
    const stats = lstatSync(file);
    // Another name of a file has the owner already. Giving it again would take away capabilities that came with the first.
    if (stats.uid !== entry.uid || stats.gid !== entry.gid) lchownSync(file, entry.uid, entry.gid);
    this.#setXattrs(path, entry);
    if (!stats.isSymbolicLink()) chmodSync(file, entry.mode);
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
    this.#madeDirectory(path).mtime = entry.mtime;
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
    const file = toSystemPath(path);
    const existing = lstatSync(file, { throwIfNoEntry: false });
    if (!existing) return;
    // Only these can be on the way to something.
    if (!existing.isDirectory() && !existing.isSymbolicLink()) {
      unlinkSync(file);
      return;
    }
    rmSync(file, { recursive: true });
    this.#resolved.clear();
    const names = this.#namesBelowRoot(path);
    const name = names.pop()!;
    let made: MadeDirectory | undefined = this.#madeDirectories;
    for (const parent of names) made = made?.inside.get(parent);
    made?.inside.delete(name);
  }

  #madeDirectory(path: ByteString): MadeDirectory {
    let made = this.#madeDirectories;
    for (const name of this.#namesBelowRoot(path)) {
      let inside = made.inside.get(name);
      if (!inside) {
        inside = { inside: new Map() };
        made.inside.set(name, inside);
      }
      made = inside;
    }
    return made;
  }

  #namesBelowRoot(path: ByteString): ByteString[] {
    return path.slice(this.#root.length + 1).split('/');
  }

  /** `.wh.name`: what the layers below have at `name` is gone. */
  #hide(parent: ByteString, name: ByteString, entry: TarEntry): void {
    if (name === '' || name === '.' || name === '..') {
      throw new KilnError(
        'invalid_argument',
        `${this.#what} entry ${JSON.stringify(fromByteString(entry.name))} is a whiteout of nothing`,
      );
    }
    const path = `${parent}/${name}`;
    if (this.#form === 'tree') {
      if (!this.#brought.has(path)) this.#remove(path);
      else this.#removeForeign(path);
      return;
    }
    const existing = lstatSync(toSystemPath(path), { bigint: true, throwIfNoEntry: false });
    if (!existing) {
      makeWhiteout(toSystemPath(path));
      this.#whiteouts.add(path);
    } else if (existing.isDirectory()) makeOpaque(toSystemPath(path));
  }

  /** `.wh..wh..opq`: nothing of the layers below shows in this directory. */
  #hideAll(directory: ByteString): void {
    if (this.#form === 'tree') this.#removeForeign(directory);
    else makeOpaque(toSystemPath(directory));
  }

  /** Removes from a directory what this layer did not bring, and what is not on the way to that. */
  #removeForeign(directory: ByteString): void {
    // Said again, it is true already; looking each time would take squares of time.
    if (this.#emptied.has(directory)) return;
    const stats = lstatSync(toSystemPath(directory), { throwIfNoEntry: false });
    if (!stats?.isDirectory()) return;
    this.#emptied.add(directory);
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
      throw this.#impossibleLink(entry, `which is ${isThere ? 'a directory' : 'not there'}`);
    }
    return target;
  }

  #impossibleLink({ name, linkName }: TarEntry, why: string): KilnError {
    return new KilnError(
      'invalid_argument',
      `${this.#what} entry ${JSON.stringify(fromByteString(name))} is a hard link to ${JSON.stringify(fromByteString(linkName))}, ${why}`,
    );
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
            `${this.#what} path ${JSON.stringify(fromByteString(names.join('/')))} leads through too many symbolic links`,
          );
        }
        const target = readlinkSync(file, 'latin1');
        if (target.startsWith('/')) passed.length = 0;
        pending.push(...namesOf(target).reverse());
        continue;
      }
      if (!stats) this.#makeParent(path, this.#entryBelow([...passed, name]));
      else if (this.#form === 'overlay' && isWhiteout(stats)) {
        this.#remove(path);
        this.#makeParent(path);
        makeOpaque(file);
      } else if (!stats.isDirectory()) {
        throw new KilnError(
          'invalid_argument',
          `${this.#what} has entries below ${JSON.stringify(fromByteString([...passed, name].join('/')))}, which is not a directory`,
        );
      } else if (this.#form === 'tree') this.#brought.add(path);
      passed.push(name);
    }
    return [this.#root, ...passed].join('/');
  }

  get #what(): 'archive' | 'layer' {
    return this.#form === 'archive' ? 'archive' : 'layer';
  }

  #failure(error: unknown, entry: TarEntry): unknown {
    const errno = errnoOf(error);
    if (error instanceof KilnError || errno === undefined) return error;
    const what = `cannot unpack ${this.#what} entry ${JSON.stringify(fromByteString(entry.name))}`;
    const message = error instanceof Error ? error.message : errno;
    return Object.assign(new Error(`${what}: ${message}`, { cause: error }), { code: errno });
  }

  #makeParent(path: ByteString, below?: MergedEntry): void {
    if (below?.directory) {
      this.#copier.copyDirectory(below.path, below.stats, path);
      this.#madeDirectory(path).mtime = below.stats.mtimeNs;
      return;
    }
    mkdirSync(toSystemPath(path));
    chmodSync(toSystemPath(path), parentMode);
    if (this.#form === 'tree') this.#brought.add(path);
  }

  /** Where no layer below has the directory, there is nothing to delete, and overlayfs would list the name without being able to open it. */
  #removeIdleWhiteouts(): void {
    for (const path of this.#whiteouts) {
      let directory: MergedDirectory | undefined = this.#shown;
      for (const name of this.#namesBelowRoot(path).slice(0, -1))
        directory = directory?.lookup(name)?.directory;
      // Something else may be in the place of the directory by now: a file, or a link that leads elsewhere.
      if (!directory || directory.isMerged) continue;
      const file = toSystemPath(path);
      const stats = lstatSync(file, { bigint: true, throwIfNoEntry: false });
      if (stats && isWhiteout(stats)) unlinkSync(file);
    }
  }

  /** What the layers below show at a path that this layer has nothing at. */
  #entryBelow(names: readonly ByteString[]): MergedEntry | undefined {
    if (this.#form !== 'overlay') return undefined;
    let directory: MergedDirectory | undefined = this.#shown;
    let entry: MergedEntry | undefined;
    for (const name of names) {
      entry = directory?.lookup(name);
      directory = entry?.directory;
    }
    return entry;
  }
}

/** Where layers are unpacked into overlays, this device deletes. It means the same everywhere here, whatever lies below. */
export function isWhiteoutEntry({ type, deviceMajor, deviceMinor }: TarEntry): boolean {
  return type === 'character-device' && isWhiteoutNumber(makeDevice(deviceMajor, deviceMinor));
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
