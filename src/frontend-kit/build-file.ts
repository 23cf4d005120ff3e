import type { Digest } from '../base/digest.ts';
import type { KilnError, Range } from '../base/errors.ts';
import { dockerfileError, linesOf } from '../frontend/dockerfile/dockerfile-error.ts';
import type { SourceFile, SourceLocation } from '../llb/llb.ts';

/** The file that says what to build. Lines count from 1. */
export class BuildFile {
  readonly name: string;
  readonly text: string;
  /** Without their ends. */
  readonly lines: readonly string[];
  readonly source: SourceFile;
  /** The vertex that loaded it. */
  readonly vertex: Digest;

  constructor(source: SourceFile, vertex: Digest) {
    this.name = source.filename;
    this.source = source;
    this.vertex = vertex;
    this.text = Buffer.from(source.data)
      .toString('utf8')
      .replace(/^\uFEFF/, '');
    this.lines = this.text.split(/\r?\n/);
  }

  /** Where something is written, for the option `locations` of vertices: errors and progress then show these lines. */
  at(line: number, lastLine: number = line): SourceLocation {
    return { file: this.source, ranges: linesOf(range(line, lastLine)) };
  }

  /** An error about some lines, which clients show. */
  error(
    line: number,
    message: string,
    options: { readonly lastLine?: number; readonly hint?: string; readonly cause?: unknown } = {},
  ): KilnError {
    const { lastLine = line, ...others } = options;
    return dockerfileError(this.source, range(line, lastLine), message, others);
  }
}

function range(line: number, lastLine: number): Range {
  return { start: { line, character: 0 }, end: { line: lastLine, character: 0 } };
}
