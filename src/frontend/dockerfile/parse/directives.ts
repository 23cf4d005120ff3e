/** What a comment at the top of a file says to the frontend: `# name=value`. */
export interface Directive {
  readonly name: DirectiveName;
  readonly value: string;
  /** Counted from 1. */
  readonly line: number;
}

export type DirectiveName = 'syntax' | 'escape' | 'check';

/** The directives that a text begins with. */
export interface DirectiveBlock {
  readonly directives: readonly Directive[];
  /** The first whose name another one has already, which is an error. Nothing after it is read. */
  readonly repeated?: Directive;
}

const names: readonly DirectiveName[] = ['syntax', 'escape', 'check'];

/** Reads a comment without the mark that begins it; undefined for a comment that is no directive. */
export function parseDirective(comment: string): Pick<Directive, 'name' | 'value'> | undefined {
  const equals = comment.indexOf('=');
  if (equals < 0) return undefined;
  const written = comment.slice(0, equals).trim().toLowerCase();
  const name = names.find((known) => known === written);
  const value = comment.slice(equals + 1).trim();
  return name === undefined || value === '' || value.includes('\r') ? undefined : { name, value };
}

/**
 * Reads the directives at the top of `lines`, up to the first line that is none: an empty line and any other comment end them,
 * too. `mark` begins a comment; `before` is the number of lines that came before these.
 */
export function readDirectives(lines: Iterable<string>, mark = '#', before = 0): DirectiveBlock {
  const directives: Directive[] = [];
  let line = before;
  for (const text of lines) {
    line++;
    const read = text.startsWith(mark) ? parseDirective(text.slice(mark.length)) : undefined;
    if (!read) break;
    const directive = { ...read, line };
    if (directives.some(({ name }) => name === read.name)) return { directives, repeated: directive };
    directives.push(directive);
  }
  return { directives };
}

/** A directive of a file in any language whose comments start with `mark`. A first line `#!…` is passed over. */
export function findDirective(text: string, name: DirectiveName, mark = '#'): Directive | undefined {
  const { body, skipped } = withoutShebang(text);
  // Each name occurs once: there are no more directives than names.
  const { directives } = readDirectives(body.split('\n', names.length), mark, skipped);
  return directives.find((directive) => directive.name === name);
}

/** The text after a byte order mark and a first line `#!…`, and the number of lines that are left out. */
export function withoutShebang(text: string): { readonly body: string; readonly skipped: number } {
  const body = text.replace(/^\uFEFF/, '');
  if (!body.startsWith('#!')) return { body, skipped: 0 };
  const end = body.indexOf('\n');
  return { body: end < 0 ? '' : body.slice(end + 1), skipped: 1 };
}
