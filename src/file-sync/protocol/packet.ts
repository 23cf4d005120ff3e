import { KilnError } from '../../base/errors.ts';
import type { FileStat } from './file-stat.ts';
import { WireReader, WireWriter } from './wire.ts';

/** fsutil's `Packet`. `stat` without a stat ends the list of stats; `data` without data ends a file. */
export type Packet =
  | { readonly kind: 'stat'; readonly stat: FileStat | undefined }
  /** `id`: the number of the file among the stats, from 0. */
  | { readonly kind: 'request'; readonly id: number }
  | { readonly kind: 'data'; readonly id: number; readonly data: Buffer }
  | { readonly kind: 'fin' }
  | { readonly kind: 'error'; readonly message: string };

const types = ['stat', 'request', 'data', 'fin', 'error'] as const;

/** Data is a view into `message`. Throws `invalid_argument`. */
export function decodePacket(message: Buffer): Packet {
  const reader = new WireReader(message);
  let type = 0;
  let id = 0;
  let stat: Buffer | undefined;
  let data: Buffer = Buffer.alloc(0);
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        type = reader.uint();
        break;
      case 2:
        stat = reader.bytes();
        break;
      case 3:
        id = reader.uint();
        break;
      case 4:
        data = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  const kind = types[type];
  switch (kind) {
    case 'stat':
      return { kind, stat: stat && decodeStat(stat) };
    case 'request':
      return { kind, id };
    case 'data':
      return { kind, id, data };
    case 'fin':
      return { kind };
    case 'error':
      return { kind, message: data.toString() };
    default:
      throw new KilnError('invalid_argument', `unknown packet type ${type} in file sync`);
  }
}

/** Not fsutil's: high enough that it never will be. */
const changeStampField = 1000;

export class PacketEncoder {
  readonly #writer = new WireWriter();

  encode(packet: Packet): Buffer {
    const writer = this.#writer;
    const stat = packet.kind === 'stat' && packet.stat ? this.stat(packet.stat) : undefined;
    writer.uint(1, types.indexOf(packet.kind));
    switch (packet.kind) {
      case 'stat':
        if (stat) writer.bytes(2, stat);
        break;
      case 'request':
        writer.uint(3, packet.id);
        break;
      case 'data':
        writer.uint(3, packet.id);
        if (packet.data.length > 0) writer.bytes(4, packet.data);
        break;
      case 'fin':
        break;
      case 'error':
        writer.bytes(4, Buffer.from(packet.message));
        break;
    }
    return writer.take();
  }

  stat(stat: FileStat): Buffer {
    const writer = this.#writer;
    const xattrs = [...stat.xattrs].map(([name, value]) => {
      writer.string(1, name);
      writer.bytes(2, value);
      return writer.take();
    });
    writer.string(1, stat.path);
    writer.uint(2, stat.mode);
    writer.uint(3, stat.uid);
    writer.uint(4, stat.gid);
    writer.uint(5, stat.size);
    writer.int64(6, stat.mtime);
    writer.string(7, stat.linkname);
    writer.uint(8, stat.devMajor);
    writer.uint(9, stat.devMinor);
    for (const entry of xattrs) writer.bytes(10, entry);
    if (stat.changeStamp !== undefined) writer.int64(changeStampField, stat.changeStamp);
    return writer.take();
  }
}

const noXattrs: ReadonlyMap<string, Uint8Array> = new Map();

export function decodeStat(message: Buffer): FileStat {
  const reader = new WireReader(message);
  let path = '';
  let mode = 0;
  let uid = 0;
  let gid = 0;
  let size = 0;
  let mtime = 0n;
  let linkname = '';
  let devMajor = 0;
  let devMinor = 0;
  let xattrs: Map<string, Uint8Array> | undefined;
  let changeStamp: bigint | undefined;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        path = reader.string();
        break;
      case 2:
        mode = reader.uint();
        break;
      case 3:
        uid = reader.uint();
        break;
      case 4:
        gid = reader.uint();
        break;
      case 5:
        size = reader.uint();
        break;
      case 6:
        mtime = reader.int64();
        break;
      case 7:
        linkname = reader.string();
        break;
      case 8:
        devMajor = reader.uint();
        break;
      case 9:
        devMinor = reader.uint();
        break;
      case 10: {
        xattrs ??= new Map();
        const [name, value] = decodeXattr(reader.bytes());
        xattrs.set(name, value);
        break;
      }
      case changeStampField:
        changeStamp = reader.int64();
        break;
      default:
        reader.skip();
    }
  }
  return {
    path,
    mode,
    uid,
    gid,
    size,
    mtime,
    linkname,
    devMajor,
    devMinor,
    xattrs: xattrs ?? noXattrs,
    changeStamp,
  };
}

/** The value is copied: stats outlive the message they came in. */
function decodeXattr(message: Buffer): [string, Uint8Array] {
  const reader = new WireReader(message);
  let name = '';
  let value: Uint8Array = new Uint8Array();
  while (reader.next()) {
    if (reader.field === 1) name = reader.string();
    else if (reader.field === 2) value = Uint8Array.from(reader.bytes());
    else reader.skip();
  }
  return [name, value];
}
