import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';

/**
 * Names the directories a build offers: this machine, this user, these paths. Builds of one directory continue from what
 * the last one has sent, and builds of different directories do not overwrite each other's.
 */
export function sharedKey(locals: ReadonlyMap<string, string>): string {
  const paths = [...locals].map(([name, path]) => `${name}=${resolve(path)}`).sort();
  return createHash('sha256')
    .update([hostname(), process.getuid?.() ?? '', ...paths].join('\0'))
    .digest('hex')
    .slice(0, 32);
}
