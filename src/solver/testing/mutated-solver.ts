import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Mutation } from './mutations.ts';

const solverRoom = path.resolve(import.meta.dirname, '..');

/** A copy of the solver and its fuzzer, in a folder of its own, with one thing broken. */
export class MutatedSolver implements Disposable {
  readonly #folder: string;

  constructor({ name, file, text, replacement }: Mutation) {
    this.#folder = mkdtempSync(path.join(tmpdir(), 'kiln-mutation-'));
    const room = path.join(this.#folder, 'solver');
    cpSync(solverRoom, room, { recursive: true });
    symlinkSync(path.resolve(solverRoom, '../base'), path.join(this.#folder, 'base'));
    writeFileSync(path.join(this.#folder, 'package.json'), '{ "type": "module" }');
    const broken = path.join(room, file);
    const parts = readFileSync(broken, 'utf8').split(text);
    assert.equal(parts.length, 2, `the text to break for "${name}" must occur once in ${file}: ${text}`);
    writeFileSync(broken, parts.join(replacement));
  }

  /** The task that runs the fuzzer's schedules. */
  get task(): URL {
    return pathToFileURL(path.join(this.#folder, 'solver/testing/fuzz-schedules.task.ts'));
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}
