/** Fails when `src/api/gen` is not what `src/api/proto` generates. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const committed = path.join(root, 'src/api/gen');
const fresh = mkdtempSync(path.join(tmpdir(), 'kiln-generated-'));
try {
  execFileSync('buf', ['generate', '--output', fresh], { cwd: root, stdio: 'inherit' });
  const generated = path.join(fresh, 'src/api/gen');
  const names = new Set([...readdirSync(committed), ...readdirSync(generated)]);
  const read = (directory: string, name: string): string | undefined =>
    readdirSync(directory).includes(name) ? readFileSync(path.join(directory, name), 'utf8') : undefined;
  const stale = [...names].filter((name) => read(committed, name) !== read(generated, name));
  if (stale.length > 0) {
    console.error(`out of date in src/api/gen: ${stale.join(', ')}. Run: npm run generate`);
    process.exitCode = 1;
  } else console.log(`generated messages: ${names.size} files, all as the proto files say`);
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
