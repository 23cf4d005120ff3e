import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A file by its content, or with its mode, or a symbolic link. */
export type FileSpec =
  | string
  | Uint8Array
  | { readonly content: string; readonly mode: number }
  | { readonly link: string };

/** A temporary directory that is removed when it is disposed. */
export class WorkDirectory implements Disposable {
  readonly path = mkdtempSync(path.join(tmpdir(), 'kiln-test-'));
  #contexts = 0;

  /** The path of a name inside. */
  at(...names: readonly string[]): string {
    return path.join(this.path, ...names);
  }

  /** Writes files below a new directory (a build context, say) and returns its path. Parents are made. */
  tree(files: Readonly<Record<string, FileSpec>>): string {
    const directory = this.at(`tree-${++this.#contexts}`);
    mkdirSync(directory);
    for (const [name, file] of Object.entries(files)) writeTreeFile(path.join(directory, name), file);
    return directory;
  }

  /** Writes a program for a shell and returns its path. */
  script(name: string, text: string, shell = '/bin/sh'): string {
    writeTreeFile(this.at(name), { content: `#!${shell}\n${text}\n`, mode: 0o755 });
    return this.at(name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function writeTreeFile(file: string, spec: FileSpec): void {
  mkdirSync(path.dirname(file), { recursive: true });
  if (typeof spec === 'string' || spec instanceof Uint8Array) writeFileSync(file, spec);
  else if ('link' in spec) symlinkSync(spec.link, file);
  else {
    writeFileSync(file, spec.content);
    chmodSync(file, spec.mode);
  }
}
