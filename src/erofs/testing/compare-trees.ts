import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { type ByteString, toSystemPath } from '../../base/text/byte-string.ts';
import { getXattr, listXattrs } from '../../linux/xattr.ts';
import { pathIn } from '../../tree/tree.ts';

/** All that can be seen of an entry of a directory of this machine. Names of one file say the same of `file`. Overlays show names of deletions that nobody can open. */
type SeenEntry = 'a name alone' | SeenFile;

interface SeenFile {
  readonly mode: string;
  readonly owner: string;
  readonly time: bigint;
  readonly links: bigint;
  readonly device: bigint;
  readonly xattrs: readonly (readonly [string, string])[];
  readonly data: string;
  readonly file: ByteString;
}

/** Fails when two directories of this machine do not show the same tree. */
export function assertSameTrees(actual: string, expected: string): void {
  const [seen, wanted] = [seenIn(actual), seenIn(expected)];
  assert.deepEqual([...seen.keys()], [...wanted.keys()]);
  for (const [path, entry] of wanted) assert.deepEqual(seen.get(path), entry, path);
}

function seenIn(root: string): Map<ByteString, SeenEntry> {
  const seen = new Map<ByteString, SeenEntry>();
  const firstNames = new Map<string, ByteString>();
  const visit = (path: ByteString): void => {
    const file = toSystemPath(`${root}/${path}`);
    const stats = lstatSync(file, { bigint: true, throwIfNoEntry: false });
    if (!stats) {
      seen.set(path, 'a name alone');
      return;
    }
    const identity = `${stats.dev}:${stats.ino}`;
    if (!firstNames.has(identity)) firstNames.set(identity, path);
    const names = listXattrs(file).filter((name) => name !== 'security.selinux');
    seen.set(path, {
      mode: stats.mode.toString(8),
      owner: `${stats.uid}:${stats.gid}`,
      time: stats.mtimeNs,
      links: stats.nlink,
      device: stats.rdev,
      xattrs: names.sort().map((name) => [name, getXattr(file, name)!.toString('latin1')]),
      data: stats.isFile()
        ? readFileSync(file, 'latin1')
        : stats.isSymbolicLink()
          ? readlinkSync(file, 'latin1')
          : '',
      file: firstNames.get(identity)!,
    });
    if (!stats.isDirectory()) return;
    for (const name of readdirSync(file, 'latin1').sort()) visit(pathIn(path, name));
  };
  visit('');
  return seen;
}
