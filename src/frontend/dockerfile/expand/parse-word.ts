import type { Parameter, ParsedWord, WordFault, WordPart } from './word-tree.ts';

export interface ParseWordOptions {
  /** The mark before a character that is meant literally; `\` by default. */
  readonly escape?: string;
  /** Quotes are ordinary characters. */
  readonly ignoreQuotes?: boolean;
}

/** Substitutions in substitutions; each takes stack. */
const deepest = 200;

/** Operators that take one operand, up to the closing brace. */
const operandOperators: ReadonlySet<string> = new Set([
  ':-',
  '-',
  ':+',
  '+',
  ':?',
  '?',
  '#',
  '##',
  '%',
  '%%',
]);
/** Operators that take a pattern and, after another slash, its replacement. */
const replaceOperators: ReadonlySet<string> = new Set(['/', '//']);

export function isKnownOperator(operator: string): boolean {
  return operandOperators.has(operator) || replaceOperators.has(operator);
}

/** Names in braces may be one of these; a digit begins a positional parameter. */
const parameterName = /[\p{L}_][\p{L}\p{Nd}_]*|\p{Nd}+|[@*#?$!-]/uy;

/** Reads a word. Never throws: what is wrong with it becomes a part of it. Takes time linear in its length. */
export function parseWord(text: string, options: ParseWordOptions = {}): ParsedWord {
  return new WordParser(text, options).parse();
}

/** Where text is: at the top, in double quotes, or in braces up to `}` or `/`. */
type Context = 'top' | 'quotes' | BraceContext;
type BraceContext = '}' | '/';

class WordParser {
  readonly #text: string;
  readonly #escape: string;
  readonly #ignoreQuotes: boolean;
  #at = 0;
  /** The braces around the place that is read, the outermost first, and the mark that each waits for. */
  readonly #braces: { readonly start: number; wanted: BraceContext }[] = [];
  #open: WordFault | undefined;
  /** Whether there is a fault, so that nothing more is read. */
  #failed = false;

  constructor(text: string, options: ParseWordOptions) {
    this.#text = text;
    this.#escape = options.escape ?? '\\';
    this.#ignoreQuotes = options.ignoreQuotes ?? false;
  }

  parse(): ParsedWord {
    const parts = this.#parts('top');
    return { text: this.#text, parts, ...(this.#open && { open: this.#open }) };
  }

  /** The parts up to the mark that ends the context, which is passed over. */
  #parts(context: Context): readonly WordPart[] {
    const start = this.#at;
    const parts: WordPart[] = [];
    const close = context === 'top' ? undefined : context === 'quotes' ? '"' : context;
    /** Where literal text began that is not among the parts yet. */
    let literal = this.#at;
    const flush = () => {
      if (this.#at > literal) parts.push(this.#text.slice(literal, this.#at));
    };
    for (;;) {
      if (this.#at >= this.#text.length) {
        flush();
        if (close !== undefined) parts.push(this.#unclosed(start - 1));
        return parts;
      }
      const character = this.#text[this.#at]!;
      if (character === close) {
        flush();
        this.#at++;
        return parts;
      }
      if (!this.#isSpecial(character, context)) {
        this.#at++;
        continue;
      }
      flush();
      parts.push(this.#special(character, context));
      if (this.#failed) return parts;
      literal = this.#at;
    }
  }

  #isSpecial(character: string, context: Context): boolean {
    if (character === this.#escape) return true;
    if (character === '$') return this.#beginsParameter();
    if (this.#ignoreQuotes || context === 'quotes') return false;
    return character === '"' || character === "'";
  }

  #special(character: string, context: Context): WordPart {
    if (character === this.#escape) return this.#escaped(context);
    if (character === '$') return this.#parameter();
    if (character === "'") return this.#singleQuoted();
    this.#at++;
    return { kind: 'quoted', mark: '"', parts: this.#parts('quotes') };
  }

  #escaped(context: Context): WordPart {
    const mark = this.#escape;
    const point = this.#text.codePointAt(++this.#at);
    const character = point === undefined ? '' : String.fromCodePoint(point);
    this.#at += character.length;
    // In quotes the mark is only one before what would have a meaning there.
    if (context === 'quotes' && character !== '"' && character !== '$' && character !== mark) {
      return { kind: 'escaped', plain: mark + character, raw: mark + mark + character };
    }
    return { kind: 'escaped', plain: character, raw: mark + character };
  }

  #singleQuoted(): WordPart {
    const opening = this.#at;
    const closing = this.#text.indexOf("'", opening + 1);
    if (closing < 0) {
      if (opening === this.#text.length - 1 && this.#braces.length > 0) return this.#unclosed(opening);
      return this.#fault('unexpected end of statement while looking for matching single-quote', opening);
    }
    this.#at = closing + 1;
    return { kind: 'quoted', mark: "'", parts: [this.#text.slice(opening + 1, closing)] };
  }

  #beginsParameter(): boolean {
    return this.#text[this.#at + 1] === '{' || this.#nameAt(this.#at + 1) !== '';
  }

  #nameAt(at: number): string {
    parameterName.lastIndex = at;
    return parameterName.exec(this.#text)?.[0] ?? '';
  }

  #parameter(): WordPart {
    const start = this.#at++;
    if (this.#text[this.#at] !== '{') {
      const name = this.#nameAt(this.#at);
      this.#at += name.length;
      return plainParameter(name, start, this.#at);
    }
    this.#at++;
    this.#braces.push({ start, wanted: '}' });
    const part = this.#inBraces(start);
    this.#braces.pop();
    return part;
  }

  #inBraces(start: number): WordPart {
    const first = this.#text[this.#at];
    if (first === undefined) return this.#unclosed(start);
    if (first === '{' || first === '}' || first === ':')
      return this.#fault('syntax error: bad substitution', start, this.#at + 1);
    const name = this.#nameAt(this.#at);
    this.#at += name.length;
    if (this.#text[this.#at] === '}') {
      this.#at++;
      return plainParameter(name, start, this.#at);
    }
    const operator = this.#operator();
    if (this.#braces.length > deepest && this.#at < this.#text.length) {
      return this.#fault(`syntax error: substitutions nested deeper than ${deepest}`, start);
    }
    const replaces = replaceOperators.has(operator);
    const operand = this.#operand(replaces ? '/' : '}');
    const replacement = replaces && !this.#failed ? this.#operand('}') : [];
    return { kind: 'parameter', name, operator, operand, replacement, start, end: this.#at };
  }

  #operand(wanted: BraceContext): readonly WordPart[] {
    this.#braces.at(-1)!.wanted = wanted;
    return this.#parts(wanted);
  }

  #operator(): string {
    const character = this.#characterAt(this.#at);
    this.#at += character.length;
    const next = this.#characterAt(this.#at);
    const doubles = character === '#' || character === '%' || character === '/';
    if (character !== ':' && !(doubles && next === character)) return character;
    this.#at += next.length;
    return character + next;
  }

  #characterAt(at: number): string {
    const point = this.#text.codePointAt(at);
    return point === undefined ? '' : String.fromCodePoint(point);
  }

  /** The text ends too early: in the outermost braces, if in any, else in the double quotes that begin at `quote`. */
  #unclosed(quote: number): WordFault {
    const [outermost] = this.#braces;
    if (!outermost) {
      return this.#fault('unexpected end of statement while looking for matching double-quote', quote);
    }
    this.#open = this.#fault(`syntax error: missing '${outermost.wanted}'`, outermost.start);
    return this.#open;
  }

  #fault(message: string, start: number, end = this.#text.length): WordFault {
    this.#failed = true;
    this.#at = this.#text.length;
    return { kind: 'fault', message, start, end };
  }
}

/** A parameter without an operator. */
function plainParameter(name: string, start: number, end: number): Parameter {
  return { kind: 'parameter', name, operator: undefined, operand: [], replacement: [], start, end };
}
