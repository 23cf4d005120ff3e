import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import type { FoundEntry, FoundKind, Tree } from './tree.ts';

const typeMask = 0o170000;
const kinds: ReadonlyMap<number, FoundKind> = new Map([
  [0o040000, 'directory'],
  [0o100000, 'file'],
  [0o120000, 'symlink'],
]);
const characterDevice = 0o020000;

/** A directory of this machine as a tree. */
export class DirectoryTree implements Tree {
  protected readonly root: ByteString;

  /** `directory`: an absolute path. */
  constructor(directory: ByteString) {
    this.root = directory.replace(/\/+$/, '');
  }

  lookup(path: ByteString): FoundEntry | undefined {
    const stats = lstatSync(this.systemPath(path), { throwIfNoEntry: false });
    if (!stats) return undefined;
    const type = stats.mode & typeMask;
    const isWhiteout = type === characterDevice && stats.rdev === 0;
    const kind = kinds.get(type) ?? (isWhiteout ? 'whiteout' : 'other');
    return { kind, mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid };
  }

  readLink(path: ByteString): ByteString {
    return readlinkSync(this.systemPath(path), 'latin1');
  }

  names(path: ByteString): ByteString[] {
    return readdirSync(this.systemPath(path), 'latin1');
  }

  /** Where an entry of the tree is on this machine. */
  fileAt(path: ByteString): ByteString {
    return path === '' ? this.root || '/' : `${this.root}/${path}`;
  }

  protected systemPath(path: ByteString): string | Buffer {
    return toSystemPath(this.fileAt(path));
  }
}
