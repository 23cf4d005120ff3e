import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { asKilnError, KilnError, type Position } from '../base/errors.ts';
import { ImportError } from './import-error.ts';
import type { ChildFailure, SourceText } from './messages.ts';
import { readScript } from './read-script.ts';

export interface FailureContext {
  readonly directory: string;
  readonly file: string;
  /** What the file is called. */
  readonly name: string;
  readonly question: number | undefined;
  /** What is shown of an error that does not say where it was thrown. */
  readonly otherwise: SourceText | undefined;
}

interface Place {
  readonly script: string;
  readonly position: Position;
}

/** What is told of an error: what it says, and where in the project it was thrown. */
export function failureOf(thrown: unknown, context: FailureContext): ChildFailure {
  const error = asKilnError(thrown);
  const isKnown = thrown instanceof KilnError;
  const { name, message } =
    thrown instanceof Error ? thrown : { name: 'Error', message: `threw ${String(thrown)}` };
  const said = isKnown || name === 'Error' ? message : `${name}: ${message}`;
  return {
    code: isKnown ? error.code : 'failed_precondition',
    message: said.slice(0, 64 * 1024),
    hint: error.hint,
    source: sourceOf(thrown, context) ?? context.otherwise,
    question: context.question,
  };
}

function sourceOf(thrown: unknown, context: FailureContext): SourceText | undefined {
  const detail =
    thrown instanceof KilnError ? thrown.details.find(({ kind }) => kind === 'source') : undefined;
  if (detail?.kind === 'source') {
    const { filename, data, ranges } = detail;
    return { filename, data: Buffer.from(data).toString('base64'), ranges };
  }
  const place = placeOf(thrown, context);
  if (!place) return undefined;
  const { directory, file, name } = context;
  return {
    filename: nameOfScript(place.script, directory, file, name),
    data: Buffer.from(readScript(place.script) ?? '').toString('base64'),
    ranges: [{ start: place.position, end: place.position }],
  };
}

/** Where in the project an error comes from. */
function placeOf(thrown: unknown, { directory }: FailureContext): Place | undefined {
  if (thrown instanceof ImportError) return importPlace(thrown);
  const stack = thrown instanceof Error && typeof thrown.stack === 'string' ? thrown.stack : '';
  return placeInStack(stack, directory);
}

/** The first place of a stack that is in the directory, and not in its packages if there is another. */
export function placeInStack(stack: string, directory: string): Place | undefined {
  const lines = stack.slice(0, 256 * 1024).split('\n');
  const syntax = syntaxPlace(lines, directory);
  if (syntax) return syntax;
  const places = lines.flatMap((line): Place[] => {
    const [, script, row, column] =
      /\(?((?:file:\/\/)?\/[^()]*):(\d+):(\d+)\)?$/.exec(line.trim().replace(/^at (?:async )?/, '')) ?? [];
    if (script === undefined || !isInside(script, directory)) return [];
    return [{ script, position: { line: Number(row), character: Math.max(Number(column) - 1, 0) } }];
  });
  return places.find(({ script }) => !script.includes('/node_modules/')) ?? places[0];
}

/** Node shows a text that it cannot parse above the message: `FILE:LINE`, the line, and `^` below the place. */
function syntaxPlace([first = '', ...others]: readonly string[], directory: string): Place | undefined {
  const [, script, row] = /^((?:file:\/\/)?\/.*):(\d+)$/.exec(first) ?? [];
  if (script === undefined || !isInside(script, directory)) return undefined;
  const marked = others.slice(0, 10).findIndex((line) => /^\s*\^+\s*$/.test(line));
  const character = marked < 0 ? 0 : others[marked]!.indexOf('^');
  // The text may start with the first line of the file, whatever line is wrong.
  const shown = readScript(script);
  const wrong = marked < 1 ? undefined : others[marked - 1]!;
  const text = shown && Buffer.from(shown).toString('utf8').split(/\r?\n/);
  const at =
    wrong === undefined || !text || text[Number(row) - 1] === wrong ? Number(row) : text.indexOf(wrong) + 1;
  return { script, position: { line: at || Number(row), character } };
}

function importPlace({ script, specifier }: ImportError): Place | undefined {
  const data = script === undefined ? undefined : readScript(script);
  if (script === undefined || !data) return undefined;
  const lines = Buffer.from(data).toString('utf8').split(/\r?\n/);
  for (const [index, line] of lines.entries()) {
    const found = [`'${specifier}'`, `"${specifier}"`, `\`${specifier}\``]
      .map((each) => line.indexOf(each))
      .filter((at) => at >= 0);
    if (found.length > 0) return { script, position: { line: index + 1, character: Math.min(...found) } };
  }
  return { script, position: { line: 1, character: 0 } };
}

function isInside(script: string, directory: string): boolean {
  try {
    const file = script.startsWith('file:') ? fileURLToPath(script) : script;
    return file.startsWith(`${directory}${path.sep}`);
  } catch {
    return false;
  }
}

/** What a script is called: the build file by its name, others in the directory by their paths from there; others as they are. */
export function nameOfScript(script: string, directory: string, file: string, name: string): string {
  if (!isInside(script, directory)) return script;
  const own = script.startsWith('file:') ? fileURLToPath(script) : script;
  return own === file ? name : path.relative(directory, own);
}
