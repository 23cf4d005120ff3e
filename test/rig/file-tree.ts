import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { getXattr, listXattrs } from '../../src/linux/xattr.ts';

/** What a file is, as tests compare it: `file 0644 0:0 sha256:…`, `link 0:0 -> target`, `directory 1777 0:0`, then xattrs. */
export type Description = string;

/** All files below a directory by their paths from it, times left out. */
export function describeTree(root: string): Readonly<Record<string, Description>> {
  const tree: Record<string, Description> = {};
  const visit = (name: string): void => {
    const file = path.join(root, name);
    const stat = lstatSync(file);
    const owner = `${stat.uid}:${stat.gid}`;
    const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0');
    const more = listXattrs(file)
      .sort()
      .map((attribute) => ` ${attribute}=${getXattr(file, attribute)?.toString('hex')}`)
      .join('');
    if (stat.isSymbolicLink()) tree[name] = `link ${owner} -> ${readlinkSync(file)}${more}`;
    else if (stat.isDirectory()) {
      if (name !== '') tree[name] = `directory ${mode} ${owner}${more}`;
      for (const child of readdirSync(file).sort()) visit(path.join(name, child));
    } else if (stat.isFile()) {
      const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
      tree[name] = `file ${mode} ${owner} sha256:${digest}${more}`;
    } else tree[name] = `special ${stat.mode.toString(8)} ${owner} ${stat.rdev}${more}`;
  };
  visit('');
  return tree;
}
