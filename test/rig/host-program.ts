import { copyFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { mustRun } from './run-program.ts';

/** Copies a program of this machine into a tree, at its own path, with the libraries it is linked with. */
export async function copyHostProgram(program: string, tree: string): Promise<void> {
  const { stdout } = await mustRun('ldd', [program]);
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!);
  for (const file of [program, ...libraries]) {
    const copy = path.join(tree, file);
    mkdirSync(path.dirname(copy), { recursive: true });
    copyFileSync(file, copy);
  }
}
