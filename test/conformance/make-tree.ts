import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeDevice, mknod } from '../../src/linux/mknod.ts';
import { utimens } from '../../src/linux/utimens.ts';
import { setXattr } from '../../src/linux/xattr.ts';
import { type Compression, defaultTime, type TreeEntry } from './conformance-case.ts';

const fifoType = 0o010000;
const characterDeviceType = 0o020000;
/** Makes the entries below `root`, with exactly the modes, owners, times and attributes that they declare. */
export function makeTree(root: string, entries: readonly TreeEntry[]): void {
  const directories = new Map<string, TreeEntry | undefined>([['.', undefined]]);
  mkdirSync(root, { recursive: true });
  chmodSync(root, 0o755);
  for (const entry of entries) {
    const full = path.join(root, entry.path);
    for (let parent = path.dirname(entry.path); parent !== '.'; parent = path.dirname(parent)) {
      if (!directories.has(parent)) directories.set(parent, undefined);
    }
    mkdirSync(path.dirname(full), { recursive: true, mode: 0o755 });
    make(root, full, entry);
    if (entry.kind === 'directory') directories.set(entry.path, entry);
    else if (entry.kind !== 'hardlink') setAttributes(full, entry);
  }
  const deepestFirst = [...directories].sort(([a], [b]) => b.split('/').length - a.split('/').length);
  for (const [name, entry] of deepestFirst) {
    const full = path.join(root, name);
    if (entry) setAttributes(full, entry);
    else utimens(full, defaultTime, defaultTime);
  }
  utimens(root, defaultTime, defaultTime);
}

function make(root: string, full: string, entry: TreeEntry): void {
  switch (entry.kind) {
    case 'file':
      writeFileSync(full, entry.content);
      break;
    case 'directory':
      mkdirSync(full, { recursive: true });
      break;
    case 'symlink':
      symlinkSync(entry.target, full);
      break;
    case 'hardlink':
      linkSync(path.join(root, entry.target), full);
      break;
    case 'fifo':
      mknod(full, fifoType | 0o644);
      break;
    case 'character-device':
      mknod(full, characterDeviceType | 0o644, makeDevice(entry.major, entry.minor));
      break;
    case 'archive':
      makeArchive(full, entry.compression, entry.members);
      break;
    default:
      entry satisfies never;
  }
}

function setAttributes(full: string, entry: TreeEntry): void {
  const { uid, gid } = entry.owner;
  if (entry.kind === 'symlink') {
    lchownSync(full, uid, gid);
  } else {
    chownSync(full, uid, gid);
    chmodSync(full, entry.mode ?? (entry.kind === 'directory' ? 0o755 : 0o644));
    for (const [name, value] of entry.xattrs) setXattr(full, name, Buffer.from(value));
  }
  utimens(full, entry.mtime, entry.mtime);
}

const compressFlags: Readonly<Record<Compression, readonly string[]>> = {
  none: [],
  gzip: ['--gzip'],
  bzip2: ['--bzip2'],
  xz: ['--xz'],
  zstd: ['--zstd'],
};

function makeArchive(file: string, compression: Compression, members: readonly TreeEntry[]): void {
  const tree = mkdtempSync(path.join(tmpdir(), 'kiln-archive-'));
  try {
    makeTree(tree, members);
    const names = members.map((member) => member.path);
    execFileSync('tar', [
      '--no-recursion',
      '--format=pax',
      '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
      '--numeric-owner',
      '--xattrs',
      '--xattrs-include=*',
      ...compressFlags[compression],
      '-C',
      tree,
      '-cf',
      file,
      ...names,
    ]);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}
