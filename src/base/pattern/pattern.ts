import { KilnError } from '../errors.ts';
import { Glob, type GlobStep, literalStep } from './glob.ts';

/**
 * Path patterns with the semantics that `.dockerignore` files and copy wildcards rely on: those of Go's
 * `filepath.Match` and of moby/patternmatcher. No npm glob library has them: the common ones expand braces and extglobs,
 * hide dotfiles, read `[!a]` as a negation, take a malformed class literally, and none lets a match pass down to what
 * lies below. Paths are relative, separated by `/`, without a trailing slash.
 */

type Token =
  /** `plain`: written as itself, and no bracket. */
  | { readonly kind: 'literal'; readonly text: string; readonly plain: boolean }
  /** Any one character but `/`. */
  | { readonly kind: 'any' }
  /** Any characters but `/`. */
  | { readonly kind: 'star' }
  /** `**`: any number of whole directories; at the end, anything. `slash`: a slash followed, which belongs to it. */
  | { readonly kind: 'directories'; readonly slash: boolean }
  /** A character class. It has `/` where its ranges (or its negation) include it. */
  | { readonly kind: 'class'; readonly has: (character: number) => boolean };

/** Go's `filepath.Match`: does `pattern` match all of `name`? Throws `invalid_argument` for a malformed pattern. */
export function matchGlob(pattern: string, name: string): boolean {
  return compileGlob(pattern)(name);
}

/** `matchGlob` for many names. */
export function compileGlob(pattern: string): (name: string) => boolean {
  const tokens = parse(pattern, false);
  return nameTest(tokens);
}

function nameTest(tokens: readonly Token[]): (name: string) => boolean {
  const literal = literalOf(tokens);
  if (literal !== undefined) return (name) => name === literal;
  const glob = new Glob(stepsOf(tokens));
  return (name) => glob.matches(name);
}

/** Whether `pattern` holds anything but literal characters, so that it could match more than one name. */
export function hasWildcard(pattern: string): boolean {
  return literalOf(parse(pattern, false)) === undefined;
}

/** What is known of a path from its parents and itself: the index of the last pattern that matched, -1 for none. */
export type PatternMatch = number & { readonly __match: true };

interface PathTest {
  readonly test: (path: string) => boolean;
  /** Whether the path or one of its parents passes. */
  readonly testWithParents: (path: string) => boolean;
}

interface CompiledPattern extends PathTest {
  readonly negated: boolean;
  /** Whether something below this directory can match while the directory itself does not. May answer true too often. */
  readonly reaches: (dir: readonly string[]) => boolean;
}

/**
 * A list of patterns of which the last that matches a path *or one of its parents* decides: a plain one selects it, one
 * that starts with `!` takes the selection back. `**` stands for any number of directories. Surrounding white space,
 * empty patterns, `.` segments and trailing slashes do not count.
 *
 * A walk hands each directory's match to its entries, so that each path is tested once against each pattern at most:
 *
 *     let match = matcher.start;
 *     match = matcher.enter(match, 'a');      // at the directory `a`
 *     match = matcher.enter(match, 'a/b');    // at its entry `b`
 */
export class PatternMatcher {
  readonly #patterns: readonly CompiledPattern[];

  /** Throws `invalid_argument` naming a malformed pattern. */
  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.flatMap((pattern) => {
      const text = pattern.trim();
      return text === '' ? [] : [compile(text)];
    });
  }

  /** No pattern at all: nothing matches. */
  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  /** The match of the root, which is itself never selected. */
  get start(): PatternMatch {
    return -1 as PatternMatch;
  }

  /** The match of `path`, given that of its parent directory. */
  enter(parent: PatternMatch, path: string): PatternMatch {
    for (let index = this.#patterns.length - 1; index > parent; index--) {
      if (this.#patterns[index]!.test(path)) return index as PatternMatch;
    }
    return parent;
  }

  /** Whether a path with this match is selected. */
  selects(match: PatternMatch): boolean {
    return match >= 0 && !this.#patterns[match]!.negated;
  }

  /**
   * Whether everything below the directory `path` is selected, or not, exactly as `path` (whose match is given) is: a
   * walk that has no use for `path` can then skip it. Returns false when in doubt.
   */
  isUniformBelow(match: PatternMatch, path: string): boolean {
    const selected = this.selects(match);
    const dir = path === '' ? [] : path.split('/');
    for (let index = this.#patterns.length - 1; index > match; index--) {
      const pattern = this.#patterns[index]!;
      if (pattern.negated === selected && pattern.reaches(dir)) return false;
    }
    return true;
  }

  /** Whether a path is selected, without a walk. */
  matches(path: string): boolean {
    const decisive = this.#patterns.findLast((pattern) => pattern.testWithParents(path));
    return decisive !== undefined && !decisive.negated;
  }
}

function compile(text: string): CompiledPattern {
  const whole = clean(text);
  const negated = whole.startsWith('!');
  const pattern = negated ? whole.slice(1) : whole;
  if (pattern === '') throw malformed(text, 'nothing follows the "!"');
  const tokens = parse(pattern, true);
  return { negated, ...testOf(tokens), reaches: reachOf(tokens) };
}

/** Go's `filepath.Clean`. */
function clean(path: string): string {
  const kept: string[] = [];
  const absolute = path.startsWith('/');
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment !== '..') kept.push(segment);
    else if (kept.length > 0 && kept.at(-1) !== '..') kept.pop();
    else if (!absolute) kept.push(segment);
  }
  return `${absolute ? '/' : ''}${kept.join('/')}` || '.';
}

function testOf(tokens: readonly Token[]): PathTest {
  const literal = literalOf(tokens);
  if (literal !== undefined) {
    const below = `${literal}/`;
    return {
      test: (path) => path === literal,
      testWithParents: (path) => path === literal || path.startsWith(below),
    };
  }
  if (tokens.at(-1)!.kind === 'directories') {
    const prefix = plainTextOf(tokens.slice(0, -1));
    if (prefix !== undefined) return inherited((path) => path.startsWith(prefix));
  }
  const [first, ...rest] = tokens;
  if (first?.kind === 'directories') {
    // A leading `**` directly before plain text matches as a suffix, within a name too: `**.go` is `a.go`, `b/a.go`.
    const suffix = plainTextOf(rest);
    if (suffix !== undefined) {
      const start = first.slash ? '/' : '';
      const end = start + suffix;
      const inside = `${end}/`;
      return {
        test: (path) => path.endsWith(end) || (first.slash && path === suffix),
        testWithParents: (path) => `${start}${path}/`.includes(inside),
      };
    }
  }
  const glob = new Glob(stepsOf(tokens));
  return {
    test: (path) => glob.matches(path),
    testWithParents: (path) => glob.matches(path, slash),
  };
}

/** A test that what lies below passes wherever a parent does. */
function inherited(test: (path: string) => boolean): PathTest {
  return { test, testWithParents: test };
}

/**
 * Compares a directory's names with the pattern's leading segments, as far as each stands for exactly one name.
 * After that (a `**`, a class that matches `/`) anything can follow.
 */
function reachOf(tokens: readonly Token[]): (dir: readonly string[]) => boolean {
  const segments: Token[][] = [[]];
  let open = false;
  for (const token of tokens) {
    if (token.kind === 'directories' || (token.kind === 'class' && token.has(slash))) {
      open = true;
      break;
    }
    if (token.kind === 'literal' && token.text === '/') segments.push([]);
    else segments.at(-1)!.push(token);
  }
  if (open) segments.pop();
  const tests = segments.map(nameTest);
  return (dir) =>
    (open || tests.length > dir.length) &&
    tests.every((test, index) => index >= dir.length || test(dir[index]!));
}

function plainTextOf(tokens: readonly Token[]): string | undefined {
  return tokens.every((token) => token.kind === 'literal' && token.plain) ? literalOf(tokens) : undefined;
}

function literalOf(tokens: readonly Token[]): string | undefined {
  let text = '';
  for (const token of tokens) {
    if (token.kind !== 'literal') return undefined;
    text += token.text;
  }
  return text;
}

function stepsOf(tokens: readonly Token[]): GlobStep[] {
  return tokens.flatMap((token, index) => stepsOfToken(token, index === tokens.length - 1));
}

function stepsOfToken(token: Token, isLast: boolean): readonly GlobStep[] {
  switch (token.kind) {
    case 'literal':
      return [literalStep(token.text)];
    case 'any':
      return [{ kind: 'one', admits: isNoSlash }];
    case 'star':
      return [{ kind: 'many', admits: isNoSlash }];
    case 'class':
      return [{ kind: 'one', admits: token.has }];
    case 'directories': {
      const anything: GlobStep = { kind: 'many', admits: isNoLineEnd };
      return isLast ? [anything] : [{ kind: 'optional', count: 2 }, anything, literalStep('/')];
    }
  }
}

const slash = 0x2f;
const isNoSlash = (character: number) => character !== slash;
const isNoLineEnd = (character: number) => character !== 0x0a;

/** With `directories`, `**` (and the slash after it) is one token; without, it is two stars in a row. */
function parse(pattern: string, directories: boolean): Token[] {
  const characters = [...pattern];
  const tokens: Token[] = [];
  let at = 0;
  while (at < characters.length) {
    const character = characters[at++]!;
    switch (character) {
      case '*':
        if (!directories || characters[at] !== '*') {
          tokens.push({ kind: 'star' });
          break;
        }
        at++;
        tokens.push({ kind: 'directories', slash: characters[at] === '/' });
        if (characters[at] === '/') at++;
        break;
      case '?':
        tokens.push({ kind: 'any' });
        break;
      case '\\':
        if (at === characters.length) throw malformed(pattern, 'it ends in a backslash');
        tokens.push({ kind: 'literal', text: characters[at++]!, plain: false });
        break;
      case '[': {
        const { has, next } = parseClass(pattern, characters, at);
        tokens.push({ kind: 'class', has });
        at = next;
        break;
      }
      default:
        tokens.push({ kind: 'literal', text: character, plain: character !== ']' });
    }
  }
  return tokens;
}

/** From after the `[` to after the `]`. The class has at least one character; `-`, `]` and `\` in it are escaped. */
function parseClass(
  pattern: string,
  characters: readonly string[],
  start: number,
): { readonly has: (character: number) => boolean; readonly next: number } {
  let at = start;
  const negated = characters[at] === '^';
  if (negated) at++;
  const one = (): number => {
    let character = characters[at++];
    if (character === '-' || character === ']') throw malformed(pattern, `misplaced "${character}" in a "["`);
    if (character === '\\') character = characters[at++];
    if (character === undefined || at >= characters.length) throw malformed(pattern, 'a "[" is not closed');
    return character.codePointAt(0)!;
  };
  const ranges: { readonly low: number; readonly high: number }[] = [];
  do {
    const low = one();
    let high = low;
    if (characters[at] === '-') {
      at++;
      high = one();
    }
    // A range the wrong way round matches nothing.
    ranges.push({ low, high });
  } while (characters[at] !== ']');
  return {
    has: (character) => ranges.some(({ low, high }) => low <= character && character <= high) !== negated,
    next: at + 1,
  };
}

function malformed(pattern: string, why: string): KilnError {
  return new KilnError('invalid_argument', `malformed pattern ${JSON.stringify(pattern)}: ${why}`);
}
