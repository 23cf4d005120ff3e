import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { entries } from './entries.ts';

/** A module that a declaration names, outside of comments. */
const specifier = /((?:\bfrom|\bimport)\s*\(?\s*['"])([^'"]+)(['"])/g;

/**
 * Writes the types of the entries, and those that they are made of, below a directory. They must need no package, since the package
 * brings none with types: throws when they do.
 */
export function writeDeclarations(root: string, directory: string): void {
  const scratch = mkdtempSync(path.join(tmpdir(), 'kiln-types-'));
  try {
    emit(root, scratch);
    const source = path.join(root, 'src');
    const open = Object.values(entries).map((entry) => declarationOf(path.relative(source, entry)));
    const written = new Set<string>();
    for (let file = open.pop(); file !== undefined; file = open.pop()) {
      if (written.has(file)) continue;
      written.add(file);
      const text = readFileSync(path.join(scratch, file), 'utf8');
      const target = path.join(directory, file);
      mkdirSync(path.dirname(target), { recursive: true });
      writeFileSync(
        target,
        outsideComments(text, (code) =>
          code.replaceAll(specifier, (_, before: string, name: string, after: string) => {
            if (!name.startsWith('.')) throw new Error(`the types in ${file} need ${name}`);
            open.push(declarationOf(path.join(path.dirname(file), name)));
            return `${before}${name.replace(/\.ts$/, '.js')}${after}`;
          }),
        ),
      );
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function emit(root: string, directory: string): void {
  const config = path.join(directory, 'tsconfig.json');
  writeFileSync(
    config,
    JSON.stringify({
      extends: path.join(root, 'tsconfig.json'),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        rootDir: path.join(root, 'src'),
        outDir: directory,
        typeRoots: [path.join(root, 'node_modules/@types')],
      },
      include: [],
      files: Object.values(entries).map((entry) => path.join(root, entry)),
    }),
  );
  execFileSync(path.join(root, 'node_modules/.bin/tsc'), ['-p', config], { stdio: 'inherit' });
}

function declarationOf(file: string): string {
  return file.replace(/\.[jt]s$/, '.d.ts');
}

/** Examples in comments import packages. */
function outsideComments(text: string, change: (code: string) => string): string {
  return text
    .split(/(\/\*[\s\S]*?\*\/)/)
    .map((part) => (part.startsWith('/*') ? part : change(part)))
    .join('');
}
