import { AsyncLocalStorage } from 'node:async_hooks';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import util from 'node:util';
import type { SourceFile } from '../op.ts';
import type { SourceLocation } from './source-location.ts';

export interface SourceLinesOptions {
  /** The text of a script, by its URL or path; undefined for one whose lines are told without it. By default files are read. */
  readonly read?: (script: string) => Uint8Array | undefined;
  /** Whether lines of this script are wanted, by its URL or path; by default those of all but the builder's own. */
  readonly of?: (script: string) => boolean;
  /** What a script is called in errors; by default its path from the working directory. */
  readonly filename?: (script: string) => string;
}

/** In bytes. Definitions have the texts of their scripts, and daemons limit what a definition may have. */
const largestScript = 1024 * 1024;
const largestScripts = 4 * 1024 * 1024;

/** How many calls of the builder there are at most between the caller and the vertex. */
const deepest = 12;

/** The frames of the builder itself: what is not below this directory made the vertex. */
const ownFrames = new URL('..', import.meta.url).href;

const collecting = new AsyncLocalStorage<SourceLines>();

/**
 * Runs `build` and has every vertex made meanwhile, also in what it awaits, remember the line that made it. Errors and progress of a
 * daemon then show that line. Vertices that name their `locations` keep these. Takes a few microseconds a vertex.
 *
 * Needs Node 22.9 or newer; older ones tell no lines.
 *
 * @example
 * ```ts
 * import { image, toGraph, withSourceLines } from 'kiln/llb';
 *
 * const state = withSourceLines(() => image('alpine').run('make').root);
 * const { source } = toGraph(state);
 * assert.equal(source?.files.length, 1);
 * assert.equal(source.locations.size, 2);
 * ```
 */
export function withSourceLines<T>(build: () => T, options: SourceLinesOptions = {}): T {
  return collecting.run(new SourceLines(options), build);
}

/** The line that called the builder, inside of `withSourceLines`. */
export function callerLocations(): readonly SourceLocation[] {
  return collecting.getStore()?.ofCaller() ?? [];
}

class SourceLines {
  readonly #read: (script: string) => Uint8Array | undefined;
  readonly #filename: (script: string) => string;
  readonly #of: (script: string) => boolean;
  readonly #files = new Map<string, SourceFile>();
  #bytes = 0;

  constructor({ read = readScript, filename = shortPath, of = () => true }: SourceLinesOptions) {
    this.#read = read;
    this.#of = of;
    this.#filename = filename;
  }

  ofCaller(): readonly SourceLocation[] {
    const sites = typeof util.getCallSites === 'function' ? util.getCallSites(deepest) : [];
    const site = sites.find(({ scriptName }) => isCaller(scriptName) && this.#of(scriptName));
    if (!site) return [];
    const position = { line: site.lineNumber, character: Math.max(site.columnNumber - 1, 0) };
    return [{ file: this.#fileOf(site.scriptName), ranges: [{ start: position, end: position }] }];
  }

  #fileOf(script: string): SourceFile {
    let file = this.#files.get(script);
    if (!file) {
      const text = this.#bytes < largestScripts ? this.#read(script) : undefined;
      const fits = text && text.length <= Math.min(largestScript, largestScripts - this.#bytes);
      const data = fits ? text : new Uint8Array();
      this.#bytes += data.length;
      file = { filename: this.#filename(script), language: 'TypeScript', data };
      this.#files.set(script, file);
    }
    return file;
  }
}

function isCaller(script: string): boolean {
  return script !== '' && !script.startsWith('node:') && !script.startsWith(ownFrames);
}

/** Undefined for a script that is no file. */
function pathOf(script: string): string | undefined {
  if (script.startsWith('file:///')) return fileURLToPath(script);
  return path.isAbsolute(script) ? script : undefined;
}

function readScript(script: string): Uint8Array | undefined {
  try {
    const file = pathOf(script);
    if (file === undefined) return undefined;
    const found = statSync(file);
    return found.isFile() && found.size <= largestScript ? readFileSync(file) : undefined;
  } catch {
    // The script was made of something else, or is gone. Its lines have numbers all the same.
    return undefined;
  }
}

/** Names what is below the working directory from there. */
function shortPath(script: string): string {
  try {
    const file = pathOf(script);
    if (file === undefined) return script.length > 200 ? `${script.slice(0, 200)}…` : script;
    const relative = path.relative(process.cwd(), file);
    return relative.startsWith('..') ? file : relative;
  } catch {
    // The name escapes what no path has, or the working directory is gone.
    return script;
  }
}
