import { closeSync, constants, openSync, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Deferred, deferred } from '../../base/async/lifetime.ts';
import { asKilnError, errnoOf, KilnError } from '../../base/errors.ts';
import { type ByteString, fromByteString, toByteString, toSystemPath } from '../../base/text/byte-string.ts';
import { type AddedFile, AddedFiles, addedFileMode } from '../added-files.ts';
import type { FileStat } from '../protocol/file-stat.ts';
import { goMode, hasData } from '../protocol/go-mode.ts';
import { decodePacket, type Packet } from '../protocol/packet.ts';
import { TreeWalk, type WalkOptions } from './walk-tree.ts';

/** Data bytes in one packet: what fsutil sends, and any receiver takes. */
const packetBytes = 32 * 1024;
/** Entries between two looks at what the receiver asks for. */
const entriesPerTurn = 200;

/** A file may have become another kind since its stat was sent: what is no regular file is not followed and not waited for. */
const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** A directory to send (undefined: nothing); with `prefix`, a name, it arrives as a directory of that name. */
export interface SentTree extends Partial<WalkOptions> {
  readonly prefix?: string;
  /** Sent as if they were in `dir`. */
  readonly added?: readonly AddedFile[];
}

/** Where the data of a file is: at a path, or here. */
type SentData = ByteString | Uint8Array;

interface RequestedFile {
  readonly id: number;
  readonly data: SentData;
}

export interface SenderOutlet {
  send(packet: Packet): void;
  /** Undefined when there is room; waits otherwise. */
  ready(): Promise<void> | undefined;
}

/** The sending end of fsutil's protocol over synchronous file operations, for a thread. */
export class TreeSender {
  readonly #trees: readonly SentTree[];
  readonly #outlet: SenderOutlet;
  /** Where the data of each file that may be asked for is, by number. */
  readonly #files = new Map<number, SentData>();
  readonly #requests: RequestedFile[] = [];
  readonly #buffer = Buffer.allocUnsafe(packetBytes);
  #requested: Deferred<void> | undefined;
  #receiverDone = false;
  #stopped: KilnError | undefined;

  constructor(trees: readonly SentTree[], outlet: SenderOutlet) {
    this.#trees = trees;
    this.#outlet = outlet;
  }

  /** The receiver has said that it has all it wants. */
  get isDone(): boolean {
    return this.#receiverDone;
  }

  /** Sends until the receiver is content. Throws what goes wrong on either side. */
  async run(): Promise<void> {
    await Promise.all([this.#sendStats(), this.#sendFiles()]);
    this.#outlet.send({ kind: 'fin' });
  }

  stop(error: KilnError): void {
    this.#stopped ??= error;
    this.#wake();
  }

  receive(message: Buffer): void {
    const packet = decodePacket(message);
    switch (packet.kind) {
      case 'request':
        this.#requests.push(this.#take(packet.id));
        break;
      case 'fin':
        this.#receiverDone = true;
        break;
      case 'error':
        throw new KilnError('aborted', `the receiver of the files failed: ${packet.message}`);
      case 'stat':
      case 'data':
        throw new KilnError('invalid_argument', `file sync: the receiver sent a ${packet.kind} packet`);
    }
    this.#wake();
  }

  async #sendStats(): Promise<void> {
    let number = 0;
    const send = (stat: FileStat, data: SentData | undefined) => {
      if (data !== undefined) this.#files.set(number, data);
      this.#outlet.send({ kind: 'stat', stat });
      number++;
    };
    for (const tree of [...this.#trees].sort((a, b) => ((a.prefix ?? '') < (b.prefix ?? '') ? -1 : 1))) {
      const prefix = tree.prefix === undefined ? undefined : toByteString(tree.prefix);
      if (prefix !== undefined) send(directoryStat(prefix, tree), undefined);
      const placed = (stat: FileStat) => (prefix === undefined ? stat : withPrefix(stat, prefix));
      const added = new AddedFiles(tree.added ?? []);
      const { dir } = tree;
      const walk =
        dir === undefined
          ? undefined
          : new TreeWalk({ includePatterns: [], excludePatterns: [], followPaths: [], ...tree, dir });
      for (const stat of walk?.entries() ?? []) {
        for (const file of added.before(stat.path)) send(placed(addedStat(file, tree)), file.data);
        if (added.hides(stat.path, (stat.mode & goMode.dir) !== 0)) continue;
        send(placed(stat), hasData(stat.mode) ? `${toByteString(dir!)}/${stat.path}` : undefined);
        if (number % entriesPerTurn === 0) await this.#pause();
      }
      for (const file of added.rest()) send(placed(addedStat(file, tree)), file.data);
    }
    this.#outlet.send({ kind: 'stat', stat: undefined });
  }

  async #pause(): Promise<void> {
    await nextTurn();
    await this.#outlet.ready();
    if (this.#stopped) throw this.#stopped;
  }

  async #sendFiles(): Promise<void> {
    for (;;) {
      if (this.#stopped) throw this.#stopped;
      const file = this.#requests.shift();
      if (file) {
        await this.#sendFile(file);
        continue;
      }
      if (this.#receiverDone) return;
      this.#requested ??= deferred();
      await this.#requested.promise;
    }
  }

  /** Each file once, so that what waits to be sent is bounded by what was announced. */
  #take(id: number): RequestedFile {
    const data = this.#files.get(id);
    if (data === undefined)
      throw new KilnError('invalid_argument', `file sync: there is no file ${id} to ask for`);
    this.#files.delete(id);
    return { id, data };
  }

  async #sendFile({ id, data }: RequestedFile): Promise<void> {
    if (typeof data === 'string') await this.#sendFileAt(data, id);
    else await this.#sendBytes(data, id);
    this.#outlet.send({ kind: 'data', id, data: Buffer.alloc(0) });
  }

  async #sendBytes(bytes: Uint8Array, id: number): Promise<void> {
    for (let at = 0; at < bytes.length; at += packetBytes) {
      this.#outlet.send({ kind: 'data', id, data: Buffer.from(bytes.subarray(at, at + packetBytes)) });
      const room = this.#outlet.ready();
      if (room) await room;
    }
  }

  async #sendFileAt(path: ByteString, id: number): Promise<void> {
    let fd: number | undefined;
    try {
      fd = openSync(toSystemPath(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      for (;;) {
        const size = readSync(fd, this.#buffer, 0, packetBytes, null);
        if (size === 0) break;
        this.#outlet.send({ kind: 'data', id, data: this.#buffer.subarray(0, size) });
        const room = this.#outlet.ready();
        if (room) await room;
      }
    } catch (error) {
      // What is gone, a link by now, or a socket, is sent as empty, for the receiver to judge by the stat.
      if (fd !== undefined || !['ENOENT', 'ENXIO', 'ELOOP'].includes(errnoOf(error) ?? '')) {
        throw asKilnError(error).wrap(`cannot read ${fromByteString(path)}`);
      }
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #wake(): void {
    this.#requested?.resolve();
    this.#requested = undefined;
  }
}

function directoryStat(path: string, { owner, mtime }: SentTree): FileStat {
  return {
    path,
    mode: (goMode.dir | 0o755) >>> 0,
    uid: owner?.uid ?? 0,
    gid: owner?.gid ?? 0,
    size: 0,
    mtime: mtime ?? 0n,
    linkname: '',
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
  };
}

function addedStat({ name, data, mtime }: AddedFile, { owner }: SentTree): FileStat {
  return {
    path: toByteString(name),
    mode: addedFileMode,
    uid: owner?.uid ?? 0,
    gid: owner?.gid ?? 0,
    size: data.length,
    mtime,
    linkname: '',
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
  };
}

/** Hard links stay within their tree; absolute symbolic links do too. */
function withPrefix(stat: FileStat, prefix: string): FileStat {
  const isLink = (stat.mode & goMode.symlink) !== 0;
  let { linkname } = stat;
  if (linkname !== '' && !isLink) linkname = `${prefix}/${linkname}`;
  else if (linkname.startsWith('/')) linkname = `/${prefix}${linkname}`;
  return { ...stat, path: `${prefix}/${stat.path}`, linkname };
}
