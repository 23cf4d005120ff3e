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

  /** `repeated` when this directive was there before, which is an error. */
  read(line: string): Directive | 'repeated' | undefined {
    this.#line++;
    if (this.#done) return undefined;
    const match = line.startsWith(this.#prefix)
      ? /^\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(line.slice(this.#prefix.length))
      : null;
    const name = match?.[1]?.toLowerCase();
    if (name === undefined || !isDirectiveName(name)) {
      this.#done = true;
      return undefined;
    }
    if (this.#seen.has(name)) return 'repeated';
    this.#seen.add(name);
    return { name, value: match![2]!, line: this.#line };
  }
}

function isDirectiveName(name: string): name is DirectiveName {
  return names.has(name);
}

/**
 * Which frontend a file asks for, if any: a `# syntax=` directive, one in a `//` comment, or the `syntax` key of a JSON
 * document (a first line starting with `#!` is passed over). `reference` is the first word of `value`.
 */
export function detectSyntax(
  text: string,
): { readonly reference: string; readonly value: string; readonly line: number } | undefined {
  let body = text.startsWith('\uFEFF') ? text.slice(1) : text;
  let skipped = 0;
  if (body.startsWith('#!')) {
    body = body.slice(body.indexOf('\n') + 1 || body.length);
    skipped = 1;
  }
  for (const prefix of ['#', '//']) {
    const reader = new DirectiveReader(prefix, skipped);
    for (const line of body.split('\n')) {
      const directive = reader.read(line.replace(/\r$/, ''));
      if (directive === undefined || directive === 'repeated') break;
      if (directive.name === 'syntax') {
        const { value } = directive;
        return { reference: value.split(' ')[0]!, value, line: directive.line };
      }
    }
  }
  if (!body.trimStart().startsWith('{')) return undefined;
  try {
    const { syntax } = JSON.parse(body) as { syntax?: unknown };
    return typeof syntax === 'string' ? { reference: syntax, value: syntax, line: skipped } : undefined;
  } catch {
    return undefined;
  }
}
