import { readFileSync, writeFileSync } from 'node:fs';

/** Replaces the only occurrence of a text; throws when there is not exactly one. */
export function replaceInFile(file: string, from: string, to: string): void {
  const parts = readFileSync(file, 'utf8').split(from);
  if (parts.length !== 2) throw new Error(`${file} has ${JSON.stringify(from)} ${parts.length - 1} times`);
  writeFileSync(file, parts.join(to));
}
