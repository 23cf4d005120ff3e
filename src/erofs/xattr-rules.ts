import { constants } from 'node:os';
import type { ByteString } from '../base/text/byte-string.ts';
import { SystemError } from '../linux/libc.ts';
import { fileTypes, typeMask } from './format/layout.ts';

/**
 * What a kernel makes of extended attributes when they are set on a file system that can be written. Nobody checks those in an image, so the writer of
 * images does, and a tree is the same in both.
 */

const accessList = 'system.posix_acl_access';
export const defaultList = 'system.posix_acl_default';
const capability = 'security.capability';

/** Why an attribute cannot be set on what has this mode; undefined if it can. `EOPNOTSUPP`: such files have none of that kind. */
export function xattrProblem(name: string, value: ByteString, mode: number): SystemError | undefined {
  const type = mode & typeMask;
  const isDirectory = type === fileTypes.directory;
  if (name.startsWith('user.') && type !== fileTypes.file && !isDirectory) return refused('EPERM', name);
  if (name === capability && !isCapability(value)) return refused('EINVAL', name);
  if (name !== accessList && name !== defaultList) return undefined;
  const list = readAccessList(value);
  if (list === 'foreign') return refused('EOPNOTSUPP', name);
  if (list === 'malformed') return refused('EINVAL', name);
  if (type === fileTypes.symlink) return refused('EOPNOTSUPP', name);
  if (list.entries === '') return undefined;
  if (name === defaultList && !isDirectory) return refused('EACCES', name);
  return listOrder.test(list.entries) ? undefined : refused('EINVAL', name);
}

/**
 * Returns attributes as they are once the mode of their file was set to `mode`: an access list says the same as its mode, and one that says no more is
 * none. All of them can be set (`xattrProblem`).
 */
export function settledXattrs(
  xattrs: ReadonlyMap<string, ByteString>,
  mode: number,
): ReadonlyMap<string, ByteString> {
  if (!xattrs.has(accessList) && !xattrs.has(defaultList)) return xattrs;
  const settled = new Map(xattrs);
  for (const name of [accessList, defaultList]) {
    const list = readAccessList(settled.get(name) ?? '');
    if (typeof list === 'string') continue;
    const { bytes, entries } = list;
    const saysNothing = name === accessList && entries.length === minimal;
    if (entries === '' || saysNothing) settled.delete(name);
    else if (name === accessList) settled.set(name, withMode(bytes, entries, mode).toString('latin1'));
  }
  return settled;
}

/** What an entry gets from a directory with this default list, if it has one. */
export function inheritedXattrs(
  list: ByteString | undefined,
  mode: number,
): ReadonlyMap<string, ByteString> | undefined {
  const type = mode & typeMask;
  if (list === undefined || type === fileTypes.symlink) return undefined;
  const own: [string, ByteString][] = [[accessList, list]];
  return new Map(type === fileTypes.directory ? [...own, [defaultList, list]] : own);
}

/** Letters of an access list's entries, by their tags (linux/posix_acl.h): the owner, users, the group, groups, the mask, others. */
const tagLetters: ReadonlyMap<number, string> = new Map([
  [0x01, 'o'],
  [0x02, 'u'],
  [0x04, 'g'],
  [0x08, 'n'],
  [0x10, 'm'],
  [0x20, 'r'],
]);
const listOrder = /^(?:og|ou*gn*m)r$/;
/** Owner, group and others: what a mode says. */
const minimal = 3;
const listVersion = 2;
const listHeader = 4;
const listEntry = 8;
const nobody = 0xffff_ffff;

interface AccessList {
  readonly bytes: Buffer;
  /** A letter for each, `?` for one that cannot be; empty for a list that takes a list away. */
  readonly entries: string;
}

/** `foreign`: of another version. */
function readAccessList(value: ByteString): AccessList | 'foreign' | 'malformed' {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length === 0) return { bytes, entries: '' };
  if (bytes.length < listHeader) return 'malformed';
  if (bytes.readUInt32LE(0) !== listVersion) return 'foreign';
  if ((bytes.length - listHeader) % listEntry !== 0) return 'malformed';
  let entries = '';
  for (let at = listHeader; at < bytes.length; at += listEntry) {
    const letter = tagLetters.get(bytes.readUInt16LE(at));
    const isNamed = letter === 'u' || letter === 'n';
    const isValid = bytes.readUInt16LE(at + 2) <= 7 && !(isNamed && bytes.readUInt32LE(at + 4) === nobody);
    if (letter === undefined) return 'malformed';
    entries += isValid ? letter : '?';
  }
  return { bytes, entries };
}

function withMode(bytes: Buffer, entries: string, mode: number): Buffer {
  const group = entries.includes('m') ? 'm' : 'g';
  const bitsOf = new Map([
    ['o', mode >> 6],
    [group, mode >> 3],
    ['r', mode],
  ]);
  for (const [index, letter] of [...entries].entries()) {
    const bits = bitsOf.get(letter);
    if (bits !== undefined) bytes.writeUInt16LE(bits & 7, listHeader + index * listEntry + 2);
  }
  return bytes;
}

/** Bytes of a capability attribute by its revision (linux/capability.h), of those that can be set. */
const capabilitySizes: ReadonlyMap<number | undefined, number> = new Map([
  [2, 20],
  [3, 24],
]);

function isCapability(value: ByteString): boolean {
  const revision = value.length > 3 ? value.charCodeAt(3) : undefined;
  return capabilitySizes.get(revision) === value.length;
}

function refused(errno: 'EPERM' | 'EINVAL' | 'EACCES' | 'EOPNOTSUPP', name: string): SystemError {
  return new SystemError('setxattr', constants.errno[errno], name);
}
