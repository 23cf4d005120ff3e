import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const largestScript = 1024 * 1024;

/** A script's text, by its URL or path; undefined for one that is not to be read, or is too large to be shown. */
export function readScript(script: string): Uint8Array | undefined {
  try {
    const file = script.startsWith('file:') ? fileURLToPath(script) : script;
    const found = statSync(file);
    return found.isFile() && found.size <= largestScript ? readFileSync(file) : undefined;
  } catch {
    // It is no file, or not one that this process may read.
    return undefined;
  }
}
