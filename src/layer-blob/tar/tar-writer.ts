import { KilnError } from '../../base/errors.ts';
import { type ByteString, fromByteString, isAscii, toByteString } from '../../base/text/byte-string.ts';
import { blockSize, type TarEntry, typeFlags, xattrKeyPrefix } from './tar-entry.ts';

const nanosecondsPerSecond = 1_000_000_000n;
const zeros = Buffer.alloc(2 * blockSize);

/**
 * Writes a tar archive: USTAR headers where everything fits, pax (POSIX.1-2001) records for what does not.
 *
 * Own code, because layers are named by the digest of these bytes, which must be the ones that Go's `archive/tar` (so,
 * every other builder) makes of the same entries, and because npm's tar writers take names as Unicode text only.
 */
export class TarWriter {
  readonly #write: (chunk: Uint8Array) => void;

  constructor(write: (chunk: Uint8Array) => void) {
    this.#write = write;
  }

  /** Begins an entry. For a file of `size` bytes the data is written next, by the caller, then `pad(size)`. */
  header(entry: TarEntry): void {
    this.#write(encodeHeader(entry));
  }

  /** Fills the last block of `size` bytes of data. */
  pad(size: number): void {
    const rest = size % blockSize;
    if (rest > 0) this.#write(zeros.subarray(0, blockSize - rest));
  }

  end(): void {
    this.#write(zeros);
  }
}

/** Offset and length of the header's fields, in bytes. */
const fields = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  deviceMajor: [329, 8],
  deviceMinor: [337, 8],
  prefix: [345, 155],
} as const;

type Field = readonly [offset: number, length: number];

function encodeHeader(entry: TarEntry): Buffer {
  const seconds = floorDivide(entry.mtime, nanosecondsPerSecond);
  const split = splitName(entry.name);
  const records = new Map<string, ByteString>(entry.records);
  const longName = !fitsText(entry.name, fields.name);
  if (longName) records.set('path', entry.name);
  if (!fitsText(entry.linkName, fields.linkName)) records.set('linkpath', entry.linkName);
  if (!fitsOctal(entry.uid, fields.uid)) records.set('uid', String(entry.uid));
  if (!fitsOctal(entry.gid, fields.gid)) records.set('gid', String(entry.gid));
  if (!fitsOctal(entry.size, fields.size)) records.set('size', String(entry.size));
  if (entry.mtime % nanosecondsPerSecond !== 0n || !fitsOctal(Number(seconds), fields.mtime)) {
    records.set('mtime', formatTime(entry.mtime));
  }
  for (const [name, value] of entry.xattrs ?? []) {
    if (name.includes('=')) throw unwritable(entry.name, name);
    records.set(xattrKeyPrefix + toByteString(name), value);
  }
  // A long name that can be divided between two fields needs no pax record, unless there is one anyhow.
  const ustar = records.size === 0 || (records.size === 1 && longName && split !== undefined);
  const block = ustar
    ? mainBlock(entry, Number(seconds), split?.name ?? entry.name, split?.prefix ?? '')
    : mainBlock(entry, Number(seconds), asciiOf(entry.name), '');
  return ustar ? block : Buffer.concat([paxBlocks(entry.name, records), block]);
}

/** A pax record's key ends where its first `=` is: the attribute would become another one. */
function unwritable(entry: ByteString, xattr: string): KilnError {
  return new KilnError(
    'invalid_argument',
    `the extended attribute ${JSON.stringify(xattr)} of /${fromByteString(entry)} has a = in its name, which no tar archive can hold`,
    { hint: 'remove the attribute' },
  );
}

function mainBlock(entry: TarEntry, seconds: number, name: ByteString, prefix: ByteString): Buffer {
  const block = Buffer.alloc(blockSize);
  putText(block, fields.name, name);
  putOctal(block, fields.mode, entry.mode);
  putOctal(block, fields.uid, entry.uid);
  putOctal(block, fields.gid, entry.gid);
  putOctal(block, fields.size, entry.size);
  putOctal(block, fields.mtime, seconds);
  putText(block, fields.type, typeFlags[entry.type]);
  putText(block, fields.linkName, asciiOf(entry.linkName));
  putOctal(block, fields.deviceMajor, entry.deviceMajor);
  putOctal(block, fields.deviceMinor, entry.deviceMinor);
  putText(block, fields.prefix, prefix);
  return seal(block);
}

/** The extended header that comes before an entry's own: a file of `length key=value` lines. */
function paxBlocks(name: ByteString, records: ReadonlyMap<string, ByteString>): Buffer {
  const lines = [...records]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => paxRecord(key, value))
    .join('');
  const data = Buffer.from(lines, 'latin1');
  const slash = name.lastIndexOf('/') + 1;
  const shown = [...name.slice(0, slash).split('/'), 'PaxHeaders.0', name.slice(slash)]
    .filter((part) => part !== '')
    .join('/');
  const block = Buffer.alloc(blockSize);
  putText(block, fields.name, asciiOf(shown).slice(0, fields.name[1]).replace(/\/+$/, ''));
  putOctal(block, fields.mode, 0);
  putOctal(block, fields.uid, 0);
  putOctal(block, fields.gid, 0);
  putOctal(block, fields.size, data.length);
  putOctal(block, fields.mtime, 0);
  putText(block, fields.type, 'x');
  const padding = (blockSize - (data.length % blockSize)) % blockSize;
  return Buffer.concat([seal(block), data, zeros.subarray(0, padding)]);
}

/** The record's length counts its own digits. */
function paxRecord(key: string, value: ByteString): ByteString {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + String(rest.length).length;
  if (rest.length + String(length).length !== length) length++;
  return `${length}${rest}`;
}

/** Magic, version and checksum, the last fields to be filled. */
function seal(block: Buffer): Buffer {
  putText(block, fields.magic, 'ustar\x0000');
  block.fill(' ', fields.checksum[0], fields.checksum[0] + fields.checksum[1]);
  let sum = 0;
  for (const byte of block) sum += byte;
  putOctal(block, [fields.checksum[0], 7], sum);
  return block;
}

/** Cuts what is too long; a cut must not make the name look like that of a directory. */
function putText(block: Buffer, [offset, length]: Field, text: ByteString): void {
  block.write(text, offset, length, 'latin1');
  if (text.length <= length || block[offset + length - 1] !== 0x2f) return;
  const kept = text.slice(0, length).replace(/\/+$/, '').length;
  block[offset + kept] = 0;
}

/** Zero-padded octal and a zero byte; a number that does not fit is written as 0 (its pax record counts). */
function putOctal(block: Buffer, field: Field, value: number): void {
  const [offset, length] = field;
  const digits = (fitsOctal(value, field) ? value : 0).toString(8).padStart(length - 1, '0');
  block.write(digits, offset, length - 1, 'latin1');
  block[offset + length - 1] = 0;
}

function fitsOctal(value: number, [, length]: Field): boolean {
  return value >= 0 && value < 8 ** (length - 1);
}

function fitsText(text: ByteString, [, length]: Field): boolean {
  return text.length <= length && isAscii(text);
}

/** Divides a long name at a slash between USTAR's prefix (155 bytes) and name (100 bytes) fields. */
function splitName(name: ByteString): { readonly prefix: ByteString; readonly name: ByteString } | undefined {
  if (name.length <= fields.name[1] || !isAscii(name)) return undefined;
  const prefixSize = fields.prefix[1];
  const searched =
    name.length > prefixSize + 1
      ? name.slice(0, prefixSize + 1)
      : name.endsWith('/')
        ? name.slice(0, -1)
        : name;
  const slash = searched.lastIndexOf('/');
  const rest = name.length - slash - 1;
  if (slash <= 0 || rest === 0 || rest > fields.name[1] || slash > prefixSize) return undefined;
  return { prefix: name.slice(0, slash), name: name.slice(slash + 1) };
}

function asciiOf(text: ByteString): string {
  return isAscii(text) ? text : text.replace(/[^\x01-\x7f]/g, '');
}

/** Seconds with as many decimals as needed. */
function formatTime(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? '-' : '';
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  const fraction = String(size % nanosecondsPerSecond)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${sign}${size / nanosecondsPerSecond}${fraction && `.${fraction}`}`;
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b < 0n ? quotient - 1n : quotient;
}
