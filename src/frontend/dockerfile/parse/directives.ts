/** A `# name=value` comment at the top of a Dockerfile. */
export interface Directive {
  readonly name: DirectiveName;
  readonly value: string;
  /** Counted from 1. */
  readonly line: number;
}

export type DirectiveName = 'syntax' | 'escape' | 'check';

const names: ReadonlySet<string> = new Set<DirectiveName>(['syntax', 'escape', 'check']);

/**
 * Reads directives line by line. They come before anything else: the first line that is not one ends them, an empty
 * line or an ordinary comment too.
 */
export class DirectiveReader {
  readonly #prefix: string;
  #done = false;
  #line: number;
  readonly #seen = new Set<string>();

  /** `prefix` starts a comment; `line` is how many lines came before. */
  constructor(prefix = '#', line = 0) {
    this.#prefix = prefix;
    this.#line = line;
  }

  /** `repeated` names a directive that was there before, which is an error. */
  read(line: string): Directive | { readonly repeated: DirectiveName } | undefined {
    this.#line++;
    if (this.#done) return undefined;
    const match = line.startsWith(this.#prefix)
      ? /^\s*([a-zA-Z][a-zA-Z0-9]*)\s*=(.*)$/.exec(line.slice(this.#prefix.length))
      : null;
    const name = match?.[1]?.toLowerCase();
    const value = match?.[2]?.trim();
    if (name === undefined || !value || !isDirectiveName(name)) {
      this.#done = true;
      return undefined;
    }
    if (this.#seen.has(name)) return { repeated: name };
    this.#seen.add(name);
    return { name, value, line: this.#line };
  }
}

function isDirectiveName(name: string): name is DirectiveName {
  return names.has(name);
}

/** A directive of a file in any language whose comments start with `prefix`. A first line `#!…` is passed over. */
export function findDirective(text: string, name: DirectiveName, prefix = '#'): Directive | undefined {
  const { body, skipped } = withoutShebang(text);
  const reader = new DirectiveReader(prefix, skipped);
  for (const line of body.split('\n')) {
    const directive = reader.read(line.replace(/\r$/, ''));
    if (directive === undefined || 'repeated' in directive) return undefined;
    if (directive.name === name) return directive;
  }
  return undefined;
}

/**
 * Which frontend a file asks for, if any: a `# syntax=` directive, one in a `//` comment, or the `syntax` key of a JSON
 * document. `reference` is the first word of `value`.
 */
export function detectSyntax(
  text: string,
): { readonly reference: string; readonly value: string; readonly line: number } | undefined {
  const directive = findDirective(text, 'syntax') ?? findDirective(text, 'syntax', '//');
  if (directive) {
    const { value, line } = directive;
    return { reference: value.split(' ')[0]!, value, line };
  }
  const { body, skipped } = withoutShebang(text);
  if (!body.trimStart().startsWith('{')) return undefined;
  try {
    const { syntax } = JSON.parse(body) as { syntax?: unknown };
    return typeof syntax === 'string' ? { reference: syntax, value: syntax, line: skipped } : undefined;
  } catch {
    return undefined;
  }
}

function withoutShebang(text: string): { readonly body: string; readonly skipped: number } {
  const body = text.replace(/^\uFEFF/, '');
  if (!body.startsWith('#!')) return { body, skipped: 0 };
  return { body: body.slice(body.indexOf('\n') + 1 || body.length), skipped: 1 };
}
