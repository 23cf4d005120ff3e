import { rename, rm, writeFile } from 'node:fs/promises';
import { asKilnError } from '../base/errors.ts';

/** Replaces a file at once: readers of `path` see the old content or the new one, never a part. `what` names it in errors. */
export async function writeFileAtomically(path: string, content: string, what: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw asKilnError(error).wrap(`cannot write ${what} ${path}`);
  }
}
