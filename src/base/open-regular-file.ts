import { closeSync, constants, fstatSync, lstatSync, openSync, type Stats } from 'node:fs';

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/**
 * Opens a file of a tree from outside for reading; undefined for what is no regular file. Such a thing is not opened at all: opening a
 * device can change what it does. Links are not followed. Throws what the system says, as for a file that does not exist. Blocks.
 */
export function openRegularFile(
  file: string,
): { readonly descriptor: number; readonly stats: Stats } | undefined {
  if (!lstatSync(file).isFile()) return undefined;
  const descriptor = openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats = fstatSync(descriptor);
    if (stats.isFile()) return { descriptor, stats };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  closeSync(descriptor);
  return undefined;
}
