import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import path from 'node:path';
import { unixPath } from '../../base/default-path.ts';

/** The file of a program: `name` itself if it has a slash, else the first in this process's PATH, then in the usual one. */
export async function findProgram(name: string): Promise<string | undefined> {
  const dirs = [...(process.env.PATH ?? '').split(':').filter(path.isAbsolute), ...unixPath.split(':')];
  for (const file of name.includes('/') ? [name] : dirs.map((dir) => path.join(dir, name))) {
    try {
      await access(file, constants.X_OK);
      return file;
    } catch {
      // Not here: look on.
    }
  }
  return undefined;
}
