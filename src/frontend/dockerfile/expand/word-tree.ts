/** A word of a Dockerfile, parsed: the parts that its text is made of, in order. */
export interface ParsedWord {
  readonly text: string;
  /** At most the last part is a fault: what comes after it is not read. */
  readonly parts: readonly WordPart[];
  /** The outermost braces that the text ends in: what fails at its end fails because they are open. */
  readonly open?: WordFault;
}

export type WordPart =
  /** Text that means itself. */
  string | EscapedText | QuotedText | Parameter | WordFault;

/** An escape mark and the character after it. */
export interface EscapedText {
  readonly kind: 'escaped';
  /** What it stands for. */
  readonly plain: string;
  /** What it stands for in a pattern, in which the character must stay escaped. */
  readonly raw: string;
}

/** Text in single quotes is one literal part. */
export interface QuotedText {
  readonly kind: 'quoted';
  readonly mark: "'" | '"';
  readonly parts: readonly WordPart[];
}

/** `$name`, or `${name}` with or without an operator. */
export interface Parameter {
  readonly kind: 'parameter';
  readonly name: string;
  /** What follows the name in braces, such as `:-`; undefined without anything. May be one that nothing knows. */
  readonly operator: string | undefined;
  /** What follows the operator; for `/` and `//` the pattern. */
  readonly operand: readonly WordPart[];
  /** What `/` and `//` put in the place of a match. */
  readonly replacement: readonly WordPart[];
  /** Where it is in the word: from `$` to before `end`. */
  readonly start: number;
  readonly end: number;
}

/** What cannot be read. Expansion fails when it comes to it, not before. */
export interface WordFault {
  readonly kind: 'fault';
  readonly message: string;
  readonly start: number;
  readonly end: number;
}

/** How many parts there are, with those in quotes and operands. */
export function countParts(parts: readonly WordPart[]): number {
  let count = 0;
  for (const part of parts) {
    count++;
    if (typeof part === 'string') continue;
    if (part.kind === 'quoted') count += countParts(part.parts);
    else if (part.kind === 'parameter') count += countParts(part.operand) + countParts(part.replacement);
  }
  return count;
}
