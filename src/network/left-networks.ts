import { readdir } from 'node:fs/promises';
import { errnoOf } from '../base/errors.ts';

/** Whether something may be left in `directory` of networks that a process has made. */
export async function leftNetworks(directory: string): Promise<boolean> {
  try {
    return (await readdir(directory)).length > 0;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
