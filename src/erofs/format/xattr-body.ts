import { constants } from 'node:os';
import type { ByteString } from '../../base/text/byte-string.ts';
import { SystemError } from '../../linux/libc.ts';
import { roundUp } from './layout.ts';

/** A name as the format has it: the number of what it begins with, and the rest. The kernel knows no other names. */
const prefixes = [
  { number: 2, prefix: 'system.posix_acl_access', isWhole: true },
  { number: 3, prefix: 'system.posix_acl_default', isWhole: true },
  { number: 1, prefix: 'user.', isWhole: false },
  { number: 4, prefix: 'trusted.', isWhole: false },
  { number: 6, prefix: 'security.', isWhole: false },
] as const;
const prefixOf = new Map<number, string>(prefixes.map(({ number, prefix }) => [number, prefix]));

const headerSize = 12;
const entryHeaderSize = 4;
/** Four bytes each: the field that counts them has 16 bits. */
const largestBody = headerSize + 0xfffe * 4;
/** The kernel's XATTR_NAME_MAX, and the largest value that the format holds. */
const longestName = 255;
const largestValue = 0xffff;

/** The largest place that attributes take. */
export const xattrLimit = largestBody;

/**
 * Returns the bytes that follow an inode for its attributes; none without any. Attributes of namespaces that the kernel does not have in images are left
 * out, as file systems do that do not support them. Throws the errno of setxattr(2).
 */
export function encodeXattrs(xattrs: ReadonlyMap<string, ByteString>): Buffer {
  const entries: Buffer[] = [Buffer.alloc(headerSize)];
  let size = headerSize;
  for (const [name, value] of xattrs) {
    const known = prefixes.find(({ prefix, isWhole }) =>
      isWhole ? name === prefix : name.startsWith(prefix),
    );
    if (!known) continue;
    const bytes = Buffer.from(name);
    const rest = bytes.subarray(Buffer.byteLength(known.prefix));
    if (name.includes('\0') || (!known.isWhole && rest.length === 0)) throw refused('EINVAL', name);
    if (bytes.length > longestName) throw refused('ERANGE', name);
    if (value.length > largestValue) throw refused('E2BIG', name);
    const entry = Buffer.alloc(roundUp(entryHeaderSize + rest.length + value.length, 4));
    entry[0] = rest.length;
    entry[1] = known.number;
    entry.writeUInt16LE(value.length, 2);
    rest.copy(entry, entryHeaderSize);
    entry.write(value, entryHeaderSize + rest.length, 'latin1');
    entries.push(entry);
    size += entry.length;
    if (size > largestBody) throw refused('ENOSPC', name);
  }
  return entries.length === 1 ? Buffer.alloc(0) : Buffer.concat(entries, size);
}

/** Reads what `encodeXattrs` wrote. */
export function decodeXattrs(body: Buffer): Map<string, ByteString> {
  const xattrs = new Map<string, ByteString>();
  for (let at = headerSize; at + entryHeaderSize <= body.length; ) {
    const nameEnd = at + entryHeaderSize + body[at]!;
    const valueEnd = nameEnd + body.readUInt16LE(at + 2);
    const name = `${prefixOf.get(body[at + 1]!) ?? ''}${body.toString('utf8', at + entryHeaderSize, nameEnd)}`;
    xattrs.set(name, body.toString('latin1', nameEnd, valueEnd));
    at = roundUp(valueEnd, 4);
  }
  return xattrs;
}

/** Returns the number by which an inode says how large its attributes are. */
export function xattrCount(bodySize: number): number {
  return bodySize === 0 ? 0 : (bodySize - headerSize) / 4 + 1;
}

/** The reverse. */
export function xattrBodySize(count: number): number {
  return count === 0 ? 0 : headerSize + (count - 1) * 4;
}

function refused(errno: 'EINVAL' | 'ERANGE' | 'E2BIG' | 'ENOSPC', name: string): SystemError {
  return new SystemError('setxattr', constants.errno[errno], name);
}
