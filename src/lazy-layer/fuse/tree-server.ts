import {
  type BigIntStats,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { type ByteString, toByteString, toSystemPath } from '../../base/text/byte-string.ts';
import { getXattr, listXattrs } from '../../linux/xattr.ts';
import { chunksOf, type LazyChunk, type LazyFile, lazyFileAttribute, lazyNames } from '../lazy-files.ts';
import {
  answer,
  attributeBody,
  attributesBody,
  type DirectoryEntry,
  directoryBody,
  entryBody,
  type FuseRequest,
  failure,
  forgottenNodes,
  initBody,
  nameIn,
  nameInAttributeRequest,
  opcode,
  openBody,
  readRequest,
  rootNode,
  statisticsBody,
} from './fuse-messages.ts';

const { EDEADLK, EINVAL, EIO, ENODATA, ENOSYS, ERANGE } = constants.errno;

/** Bytes of a file that have to be fetched before a request can be answered. */
export interface WantedBytes {
  /** Names the request. */
  readonly unique: string;
  readonly offset: number;
  readonly size: number;
  /** All chunks that hold the bytes. */
  readonly chunks: readonly LazyChunk[];
  /** Who reads, by the kernel's number. */
  readonly thread: number;
  /** Whether that is a thread of this process. */
  readonly isOwn: boolean;
}

/** What the server does not do itself. */
export interface TreeServerCalls {
  send(answer: Buffer): void;
  /** Bytes have not come. Whoever brings them calls `answer`. */
  want(bytes: WantedBytes): void;
  /** Who waits for what was wanted got a signal. */
  interrupted(unique: string): void;
}

type OpenFile =
  | { readonly kind: 'lazy'; readonly file: LazyFile }
  | { readonly kind: 'plain'; readonly descriptor: number }
  | { readonly kind: 'directory'; readonly entries: readonly DirectoryEntry[] };

interface Node {
  readonly path: ByteString;
  lookups: number;
}

/**
 * Answers the kernel's questions about the tree of a lazy layer: names and metadata from its skeleton, contents from the chunks that have come.
 * Synchronous: for a thread.
 */
export class TreeServer implements Disposable {
  readonly #files: readonly LazyFile[];
  readonly #nodes = new Map<number, Node>();
  readonly #open = new Map<number, OpenFile>();
  readonly #data: number;
  readonly #present: number;
  readonly #calls: TreeServerCalls;
  readonly #fetcher: number;
  readonly #wanted = new Map<string, WantedBytes>();
  #nextHandle = 1;

  /** `directory` is that of the layer (`lazyNames`), `fetcher` the process that fetches what is wanted. */
  constructor(directory: string, fetcher: number, calls: TreeServerCalls) {
    this.#fetcher = fetcher;
    this.#calls = calls;
    this.#files = JSON.parse(readFileSync(path.join(directory, lazyNames.files), 'utf8')) as LazyFile[];
    this.#nodes.set(rootNode, {
      path: toByteString(path.join(directory, lazyNames.skeleton)),
      lookups: Number.POSITIVE_INFINITY,
    });
    this.#data = openSync(path.join(directory, lazyNames.data), 'r');
    this.#present = openSync(path.join(directory, lazyNames.present), 'r');
  }

  handle(request: FuseRequest): void {
    const { unique } = request;
    try {
      const answered = this.#answer(request);
      if (answered !== 'later')
        this.#calls.send(answered instanceof Buffer ? answered : answer(unique, answered));
    } catch (error) {
      const name = errnoOf(error);
      const numbers: Readonly<Record<string, number>> = constants.errno;
      this.#calls.send(failure(unique, (name !== undefined && numbers[name]) || EIO));
    }
  }

  /** A buffer is a whole answer; other bytes are its body. */
  #answer(request: FuseRequest): Uint8Array | 'later' {
    const { opcode: code, unique, node, body } = request;
    switch (code) {
      case opcode.init:
        return answer(unique, initBody(body));
      case opcode.lookup:
        return answer(unique, this.#lookup(node, nameIn(body)));
      case opcode.getattr:
        return answer(unique, attributesBody(this.#stat(this.#pathOf(node))));
      case opcode.readlink:
        return answer(unique, readlinkSync(toSystemPath(this.#pathOf(node)), { encoding: 'buffer' }));
      case opcode.open:
        return answer(unique, this.#openFile(node));
      case opcode.opendir:
        return answer(unique, this.#openDirectory(node));
      case opcode.read:
        return this.#read(request);
      case opcode.readdir:
        return answer(unique, this.#readDirectory(body));
      case opcode.release:
      case opcode.releasedir:
        this.#release(readRequest(Buffer.concat([body, Buffer.alloc(24)])).handle);
        return answer(unique);
      case opcode.getxattr: {
        const name = nameIn(body, nameInAttributeRequest);
        const value =
          name === lazyFileAttribute ? undefined : getXattr(toSystemPath(this.#pathOf(node)), name);
        if (value === undefined) return failure(unique, ENODATA);
        return attribute(unique, attributeBody(body, value));
      }
      case opcode.listxattr: {
        const names = listXattrs(toSystemPath(this.#pathOf(node))).filter(
          (name) => name !== lazyFileAttribute,
        );
        return attribute(unique, attributeBody(body, Buffer.from(names.map((name) => `${name}\0`).join(''))));
      }
      case opcode.statfs:
        return answer(unique, statisticsBody());
      case opcode.flush:
      case opcode.destroy:
        return answer(unique);
      case opcode.forget:
      case opcode.batchForget:
        for (const [forgotten, count] of forgottenNodes(request)) this.#forget(forgotten, count);
        return 'later';
      case opcode.interrupt:
        this.#interrupted(`${body.readBigUInt64LE(0)}`);
        return 'later';
      default:
        return failure(unique, ENOSYS);
    }
  }

  #pathOf(node: number): ByteString {
    const found = this.#nodes.get(node);
    if (!found) throw Object.assign(new Error(`node ${node} is not known`), { code: 'ESTALE' });
    return found.path;
  }

  #stat(file: ByteString): BigIntStats {
    return lstatSync(toSystemPath(file), { bigint: true });
  }

  #lookup(parent: number, name: ByteString): Buffer {
    const file = `${this.#pathOf(parent)}/${name}`;
    const stats = lstatSync(toSystemPath(file), { bigint: true, throwIfNoEntry: false });
    if (!stats) return entryBody();
    // The names of one file are one node, since they have one inode.
    const node = Number(stats.ino) + rootNode;
    const known = this.#nodes.get(node);
    if (known) known.lookups++;
    else this.#nodes.set(node, { path: file, lookups: 1 });
    return entryBody({ node, stats });
  }

  #forget(node: number, count: number): void {
    const known = this.#nodes.get(node);
    if (!known) return;
    known.lookups -= count;
    if (known.lookups <= 0) this.#nodes.delete(node);
  }

  #openFile(node: number): Buffer {
    const file = this.#pathOf(node);
    const index = getXattr(toSystemPath(file), lazyFileAttribute);
    if (index === undefined) {
      return openBody(this.#keep({ kind: 'plain', descriptor: openSync(toSystemPath(file), 'r') }), 'file');
    }
    const lazy = this.#files[Number(index.toString())];
    if (!lazy) throw Object.assign(new Error(`lazy file ${index} is not known`), { code: 'EIO' });
    return openBody(this.#keep({ kind: 'lazy', file: lazy }), 'file');
  }

  #openDirectory(node: number): Buffer {
    const directory = this.#pathOf(node);
    const names = readdirSync(toSystemPath(directory), 'latin1');
    const entries = names.map((name) => {
      const { ino, mode } = this.#stat(`${directory}/${name}`);
      return { name, inode: ino, type: Number(mode >> 12n) };
    });
    const { ino } = this.#stat(directory);
    const links = ['.', '..'].map((name) => ({ name, inode: ino, type: 4 }));
    return openBody(this.#keep({ kind: 'directory', entries: [...links, ...entries] }), 'directory');
  }

  #keep(file: OpenFile): number {
    const handle = this.#nextHandle++;
    this.#open.set(handle, file);
    return handle;
  }

  #release(handle: number): void {
    const file = this.#open.get(handle);
    this.#open.delete(handle);
    if (file?.kind === 'plain') closeSync(file.descriptor);
  }

  #readDirectory(body: Buffer): Buffer {
    const { handle, offset, size } = readRequest(body);
    const directory = this.#open.get(handle);
    if (directory?.kind !== 'directory') throw Object.assign(new Error('not a directory'), { code: 'EBADF' });
    return directoryBody(directory.entries, offset, size);
  }

  #read({ unique, thread, body }: FuseRequest): Uint8Array | 'later' {
    const { handle, offset, size } = readRequest(body);
    const open = this.#open.get(handle);
    if (!open || open.kind === 'directory') return failure(unique, EINVAL);
    if (open.kind === 'plain') {
      const buffer = Buffer.alloc(size);
      return answer(unique, buffer.subarray(0, readSync(open.descriptor, buffer, 0, size, offset)));
    }
    const wanted = Math.min(size, Math.max(open.file.size - offset, 0));
    const chunks = chunksOf(open.file, offset, wanted);
    if (!chunks.every((chunk) => this.#isPresent(chunk))) {
      const reader = readerOf(thread, this.#fetcher);
      if (reader === 'fetcher') return failure(unique, EDEADLK);
      const bytes = { unique: `${unique}`, offset, size: wanted, chunks, thread, isOwn: reader === 'own' };
      this.#wanted.set(bytes.unique, bytes);
      this.#calls.want(bytes);
      return 'later';
    }
    return answer(unique, readChunks(this.#data, chunks, offset, wanted));
  }

  /** Answers a request whose bytes were wanted: they have come, or the error is `errno`. */
  answer(unique: string, errno: number | undefined): void {
    const wanted = this.#wanted.get(unique);
    if (!wanted) return;
    this.#wanted.delete(unique);
    const { chunks, offset, size } = wanted;
    const name = BigInt(unique);
    const read = () => {
      try {
        return answer(name, readChunks(this.#data, chunks, offset, size));
      } catch {
        return failure(name, EIO);
      }
    };
    this.#calls.send(errno === undefined ? read() : failure(name, errno));
  }

  #interrupted(unique: string): void {
    if (this.#wanted.has(unique)) this.#calls.interrupted(unique);
  }

  #isPresent({ index }: LazyChunk): boolean {
    const byte = Buffer.alloc(1);
    return readSync(this.#present, byte, 0, 1, index) === 1 && byte[0] === 1;
  }

  [Symbol.dispose](): void {
    for (const handle of [...this.#open.keys()]) this.#release(handle);
    closeSync(this.#data);
    closeSync(this.#present);
  }
}

/**
 * What a thread is. Chunks are fetched by the fetcher's main thread and Node's own four, which look up names and read files for all threads of that
 * process: waiting for what they fetch, they would wait for ever.
 */
function readerOf(thread: number, fetcher: number): 'fetcher' | 'own' | 'other' {
  try {
    const name = readFileSync(`/proc/${fetcher}/task/${thread}/comm`, 'utf8').trim();
    return thread === fetcher || name === 'libuv-worker' ? 'fetcher' : 'own';
  } catch {
    return 'other';
  }
}

function attribute(unique: bigint, body: Uint8Array | undefined): Buffer {
  return body ? answer(unique, body) : failure(unique, ERANGE);
}

/** Bytes of a file from its chunks, all of which are present in `data`. They lie there one after the other. */
function readChunks(data: number, chunks: readonly LazyChunk[], offset: number, size: number): Buffer {
  const [first] = chunks;
  if (!first) return Buffer.alloc(0);
  const buffer = Buffer.alloc(size);
  const start = first.position + offset - first.offset;
  return buffer.subarray(0, readSync(data, buffer, 0, size, start));
}
