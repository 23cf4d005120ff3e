import { getXattr, listXattrs } from '../linux/xattr.ts';
import { type ByteString, toSystemPath } from './byte-path.ts';

/**
 * The extended attributes that belong to a file's content wherever it goes: file capabilities and the user's own.
 * Security labels, ACLs and overlayfs's marks belong to the machine.
 */
export function readLayerXattrs(path: ByteString): ReadonlyMap<string, ByteString> | undefined {
  const file = toSystemPath(path);
  const names = listXattrs(file).filter(isLayerXattr);
  if (names.length === 0) return undefined;
  const xattrs = new Map<string, ByteString>();
  for (const name of names.sort()) {
    const value = getXattr(file, name);
    if (value) xattrs.set(name, value.toString('latin1'));
  }
  return xattrs;
}

function isLayerXattr(name: string): boolean {
  return name === 'security.capability' || (name.startsWith('user.') && !name.startsWith('user.overlay.'));
}
