import type { BigIntStats } from 'node:fs';
import type { ByteString } from '../base/text/byte-string.ts';

/** What is hashed of a file before its data. */
export interface FileHeader {
  /** Permission bits, with set-user-ID, set-group-ID and sticky bit. */
  readonly permissions: number;
  readonly uid: number | bigint;
  readonly gid: number | bigint;
  readonly size: number | bigint;
  /** Extended attributes that count, in the form of `xattrsText`. */
  readonly xattrs: ByteString;
}

/** Of a symbolic link. */
const linkPermissions = 0o777;
const permissionBits = 0o7777n;

/** Returns what BuildKit's cache hashes of a regular file before its data, or with `xattrs` that it does not tell apart, more. */
export function fileHeader(header: FileHeader): ByteString {
  return withExtra(typeFlags.file, header, '', '');
}

/** Returns all that is hashed of an entry that is no regular file. `linkTarget`: of a symbolic link, else empty. */
export function nodeHeader(stats: BigIntStats, xattrs: ByteString, linkTarget: ByteString): ByteString {
  const { uid, gid } = stats;
  const kind = kindOf(stats);
  const permissions = kind === 'symlink' ? linkPermissions : permissionsOf(stats);
  const header = { permissions, uid, gid, size: 0, xattrs };
  // BuildKit takes a socket for an empty file, and all devices of a kind for the same.
  const isDevice = kind === 'character-device' || kind === 'block-device';
  const extra = isDevice ? `device ${stats.rdev}` : kind === 'socket' ? kind : '';
  return withExtra(typeFlags[kind], header, linkTarget, extra);
}

/** Returns the permission bits, with set-user-ID, set-group-ID and sticky bit. */
export function permissionsOf({ mode }: BigIntStats): number {
  return Number(mode & permissionBits);
}

/** Returns attributes as they are hashed: names and values in hex, in which nothing can be taken for a separator, in the given order. */
export function xattrsText(xattrs: Iterable<readonly [name: string, value: ByteString]>): ByteString {
  return [...xattrs]
    .map(
      ([name, value]) =>
        `${Buffer.from(name).toString('hex')}=${Buffer.from(value, 'latin1').toString('hex')}`,
    )
    .join(' ');
}

/** As in tar archives. */
const typeFlags = {
  file: '0',
  socket: '0',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
} as const;

function kindOf(stats: BigIntStats): Exclude<keyof typeof typeFlags, 'file'> {
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isCharacterDevice()) return 'character-device';
  if (stats.isBlockDevice()) return 'block-device';
  return stats.isFIFO() ? 'fifo' : 'socket';
}

function withExtra(
  typeFlag: string,
  { permissions, uid, gid, size, xattrs }: FileHeader,
  linkTarget: ByteString,
  extra: string,
): ByteString {
  const capability = capabilityIn(xattrs);
  const extras = [extra, capability === undefined ? xattrs : ''].filter((each) => each !== '');
  return [
    // What BuildKit hashes begins with `name`.
    extras.length > 0 ? `kiln ${extras.join(',')}\0` : '',
    `namemode${permissions}uid${uid}gid${gid}size${size}typeflag${typeFlag}linkname${linkTarget}`,
    `unamegnamedevmajor0devminor0${capability ?? ''}`,
  ].join('');
}

const capabilityName = 'security.capability';
const onlyCapability = new RegExp(`^${Buffer.from(capabilityName).toString('hex')}=([0-9a-f]+)$`);
/** Bytes of a capability attribute by its revision, the fourth byte (linux/capability.h). */
const capabilitySizes: ReadonlyMap<number | undefined, number> = new Map([
  [1, 12],
  [2, 20],
  [3, 24],
]);

/**
 * Returns what BuildKit hashes of attributes, undefined for those that it would not tell apart: it puts names and values one after the
 * other, and leaves access lists out. Only capabilities, whose size is known, can stand alone.
 */
function capabilityIn(xattrs: ByteString): ByteString | undefined {
  if (xattrs === '') return '';
  const [, hex] = onlyCapability.exec(xattrs) ?? [];
  if (hex === undefined) return undefined;
  const value = Buffer.from(hex, 'hex');
  return capabilitySizes.get(value[3]) === value.length
    ? capabilityName + value.toString('latin1')
    : undefined;
}
