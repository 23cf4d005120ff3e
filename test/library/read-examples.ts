import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { project } from '../rig/project.ts';

/** A program in the documentation. */
export interface Example {
  /** The file and the line where it stands. */
  readonly place: string;
  /** The program, with `assert` at hand. */
  readonly code: string;
}

/** The programs that follow `@example` in the docstrings of these files, or stand in these pages. */
export function readExamples(patterns: readonly string[]): readonly Example[] {
  const files = patterns.flatMap((pattern) => globSync(pattern, { cwd: project.root })).sort();
  return files.flatMap((file) => {
    const lines = readFileSync(path.join(project.root, file), 'utf8').split('\n');
    if (file.endsWith('.md')) return examplesIn(file, lines, () => true);
    // Only docstrings have lines that begin so.
    const comment = lines.map((line) => /^ *\* ?(.*)$/.exec(line)?.[1] ?? '');
    return examplesIn(file, comment, (at) => comment[at - 1] === '@example');
  });
}

function examplesIn(file: string, lines: readonly string[], begins: (at: number) => boolean): Example[] {
  const examples: Example[] = [];
  for (const [at, line] of lines.entries()) {
    if (line !== '```ts' || !begins(at)) continue;
    const code = lines.slice(at + 1, lines.indexOf('```', at)).join('\n');
    const prelude = code.includes('assert') ? "import assert from 'node:assert/strict';\n" : '';
    examples.push({ place: `${file}:${at + 1}`, code: `${prelude}${code}\n` });
  }
  return examples;
}
