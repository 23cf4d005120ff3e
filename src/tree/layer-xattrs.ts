import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import { getXattr, listXattrs } from '../linux/xattr.ts';
import { isSecurityLabel } from './machine-attributes.ts';
import { isForeignMark, isOverlayMark } from './overlay-marks.ts';

/** The extended attributes that go into a layer: file capabilities and the user's own. ACLs and labels belong to the machine. */
export function readLayerXattrs(path: ByteString): ReadonlyMap<string, ByteString> | undefined {
  return readXattrs(path, isLayerXattr);
}

/** The extended attributes that count as content of a tree: those that a mount shows, but no security labels. */
export function readContentXattrs(path: ByteString): ReadonlyMap<string, ByteString> | undefined {
  return readXattrs(path, isContentXattr);
}

function readXattrs(
  path: ByteString,
  isWanted: (name: string) => boolean,
): ReadonlyMap<string, ByteString> | undefined {
  const file = toSystemPath(path);
  const names = listXattrs(file).filter(isWanted);
  if (names.length === 0) return undefined;
  const xattrs = new Map<string, ByteString>();
  for (const name of names.sort()) {
    const value = getXattr(file, name);
    if (value) xattrs.set(name, value.toString('latin1'));
  }
  return xattrs;
}

function isLayerXattr(name: string): boolean {
  return name === 'security.capability' || (name.startsWith('user.') && !isForeignMark(name));
}

function isContentXattr(name: string): boolean {
  return !isOverlayMark(name) && !isSecurityLabel(name);
}
