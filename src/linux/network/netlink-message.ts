/** The bytes of netlink(7) messages. Numbers are in the machine's order, except where the network's is asked for. */

/** `struct nlmsghdr`. */
const headerSize = 16;
/** `struct nlattr`. */
const attributeHeaderSize = 4;
const nestedFlag = 0x8000;
const typeMask = 0x3fff;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** What follows the header. */
  readonly body: Buffer;
}

export function u8(value: number): Buffer {
  return Buffer.of(value);
}

export function u16(value: number): Buffer {
  return asBytes(Uint16Array.of(value));
}

export function u32(value: number): Buffer {
  return asBytes(Uint32Array.of(value));
}

/** A text that ends with a zero byte. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

export function readU16(bytes: Buffer, offset: number): number {
  return new Uint16Array(Uint8Array.from(bytes.subarray(offset, offset + 2)).buffer)[0] ?? 0;
}

export function readU32(bytes: Buffer, offset: number): number {
  return new Uint32Array(Uint8Array.from(bytes.subarray(offset, offset + 4)).buffer)[0] ?? 0;
}

export function readText(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end === -1 ? bytes.length : end);
}

export function attribute(type: number, value: Buffer): Buffer {
  const header = Buffer.concat([u16(attributeHeaderSize + value.length), u16(type)]);
  return padded(Buffer.concat([header, value]));
}

export function nested(type: number, attributes: readonly Buffer[]): Buffer {
  return attribute(type | nestedFlag, Buffer.concat(attributes));
}

export function message({ type, flags, sequence, body }: NetlinkMessage): Buffer {
  const header = [u32(headerSize + body.length), u16(type), u16(flags), u32(sequence), u32(0)];
  return padded(Buffer.concat([...header, body]));
}

/** The messages of a datagram; one that is cut off ends them. */
export function parseMessages(bytes: Buffer): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at + headerSize <= bytes.length; ) {
    const length = readU32(bytes, at);
    if (length < headerSize || at + length > bytes.length) break;
    messages.push({
      type: readU16(bytes, at + 4),
      flags: readU16(bytes, at + 6),
      sequence: readU32(bytes, at + 8),
      body: bytes.subarray(at + headerSize, at + length),
    });
    at += aligned(length);
  }
  return messages;
}

/** Attributes by type, the last of each. */
export function parseAttributes(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let at = 0; at + attributeHeaderSize <= bytes.length; ) {
    const length = readU16(bytes, at);
    if (length < attributeHeaderSize || at + length > bytes.length) break;
    attributes.set(readU16(bytes, at + 2) & typeMask, bytes.subarray(at + attributeHeaderSize, at + length));
    at += aligned(length);
  }
  return attributes;
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes], aligned(bytes.length));
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

function asBytes(numbers: Uint16Array | Uint32Array): Buffer {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}
