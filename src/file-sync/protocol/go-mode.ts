/** Go's `os.FileMode`, whose type bits are not the kernel's. */
export const goMode = {
  dir: 0x8000_0000,
  symlink: 0x0800_0000,
  device: 0x0400_0000,
  fifo: 0x0200_0000,
  socket: 0x0100_0000,
  setuid: 0x0080_0000,
  setgid: 0x0040_0000,
  charDevice: 0x0020_0000,
  sticky: 0x0010_0000,
  irregular: 0x0008_0000,
  permissions: 0o777,
} as const;

/** Every bit that does not say what a file is. */
const permissionBits = goMode.permissions | goMode.setuid | goMode.setgid | goMode.sticky;

/** The kernel's. */
const unix = {
  type: 0o170000,
  fifo: 0o010000,
  char: 0o020000,
  dir: 0o040000,
  block: 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
  setuid: 0o4000,
  setgid: 0o2000,
  sticky: 0o1000,
} as const;

export type FileKind = 'directory' | 'file' | 'symlink' | 'fifo' | 'character-device' | 'block-device';

/** What kind of file `mode` says; undefined for what no sender sends: sockets, irregular files, several kinds at once. */
export function kindOfGoMode(mode: number): FileKind | undefined {
  if (mode > 0xffff_ffff) return undefined;
  switch ((mode & ~permissionBits) >>> 0) {
    case 0:
      return 'file';
    case goMode.dir:
      return 'directory';
    case goMode.symlink:
      return 'symlink';
    case goMode.fifo:
      return 'fifo';
    case goMode.device:
      return 'block-device';
    case goMode.device | goMode.charDevice:
      return 'character-device';
    default:
      return undefined;
  }
}

/** Whether the protocol lets the receiver ask for the data of a file with this mode. Both ends must agree on it. */
export function hasData(mode: number): boolean {
  return kindOfGoMode(mode) === 'file';
}

/** Sockets become (empty) regular files, as with every sender: no build can keep them. */
export function goModeOf(unixMode: number): number {
  let mode = unixMode & goMode.permissions;
  switch (unixMode & unix.type) {
    case unix.dir:
      mode |= goMode.dir;
      break;
    case unix.symlink:
      mode |= goMode.symlink;
      break;
    case unix.block:
      mode |= goMode.device;
      break;
    case unix.char:
      mode |= goMode.device | goMode.charDevice;
      break;
    case unix.fifo:
      mode |= goMode.fifo;
      break;
  }
  if (unixMode & unix.setuid) mode |= goMode.setuid;
  if (unixMode & unix.setgid) mode |= goMode.setgid;
  if (unixMode & unix.sticky) mode |= goMode.sticky;
  return mode >>> 0;
}

/** The permission bits (with setuid, setgid and sticky) as the kernel has them. */
export function unixPermissions(mode: number): number {
  return (
    (mode & goMode.permissions) |
    (mode & goMode.setuid ? unix.setuid : 0) |
    (mode & goMode.setgid ? unix.setgid : 0) |
    (mode & goMode.sticky ? unix.sticky : 0)
  );
}
