import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** One `import`, `export … from`, dynamic import, or `new URL` of a relative path in a file. */
export interface Import {
  /** As it stands in the file. */
  readonly specifier: string;
  /** The imported file, relative to the root of the repository. */
  readonly target: string;
}

/** The relative imports of each file, by the file's name relative to the root of the repository. */
export type ImportGraph = ReadonlyMap<string, readonly Import[]>;

const relativeImport = /(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+|\bnew URL\(\s*)(['"])(\.{1,2}\/[^'"]+)\1/g;

/** Reads all TypeScript files below `folders` of the repository at `root`. Type-only imports count like others. */
export function readImportGraph(root: string, folders: readonly string[]): ImportGraph {
  const files = folders.flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: root })).sort();
  return new Map(
    files.map((file) => {
      const text = readFileSync(path.join(root, file), 'utf8');
      const imports = [...text.matchAll(relativeImport)].map(([, , specifier]) => ({
        specifier: specifier!,
        target: path.join(path.dirname(file), specifier!),
      }));
      return [file, imports];
    }),
  );
}
