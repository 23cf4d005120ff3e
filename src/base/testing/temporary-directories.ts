import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

/** For tests: returns a function that makes empty directories, which are removed when the tests of the file have ended. */
export function temporaryDirectories(): () => string {
  const root = mkdtempSync(path.join(tmpdir(), 'kiln-test-'));
  after(() => rmSync(root, { recursive: true }));
  let count = 0;
  return () => {
    const directory = path.join(root, `d${count++}`);
    mkdirSync(directory);
    return directory;
  };
}
