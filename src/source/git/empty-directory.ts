import { readdir, rm } from 'node:fs/promises';
import { toByteString, toSystemPath } from '../../base/text/byte-string.ts';

/** Removes what is in a directory, and leaves the directory. */
export async function emptyDirectory(directory: string): Promise<void> {
  const at = toByteString(directory);
  for (const name of await readdir(directory, { encoding: 'latin1' })) {
    await rm(toSystemPath(`${at}/${name}`), { recursive: true, force: true });
  }
}
