import { KilnError, type Range } from '../../../base/errors.ts';
import { cutPair } from '../../../base/text/cut-pair.ts';
import { parseGoBool } from '../../../base/text/go-bool.ts';
import { atSource, type DockerfileSource } from '../dockerfile-error.ts';
import { parseDirective } from '../parse/directives.ts';
import type { LintRule } from './rules.ts';

/** Which checks are made: `skip=A,B;error=true;experimental=all`. */
export interface LintSettings {
  readonly skip: 'all' | ReadonlySet<string>;
  readonly experimental: 'all' | ReadonlySet<string>;
  /** Whether a finding fails the build. */
  readonly error: boolean;
}

export interface LintFinding {
  readonly rule: LintRule;
  readonly message: string;
  readonly range: Range;
}

export const defaultLintSettings: LintSettings = Object.freeze({
  skip: new Set<string>(),
  experimental: new Set<string>(),
  error: false,
});

/** Reads the value of a `check` directive or of `BUILDKIT_DOCKERFILE_CHECK`. Throws `invalid_argument`. */
export function parseLintSettings(text: string): LintSettings {
  if (text.trim() === '') return defaultLintSettings;
  let settings = defaultLintSettings;
  for (const part of text.trim().split(';')) {
    const pair = cutPair(part);
    if (!pair) throw invalid(part);
    const [name, value] = [pair[0].trim(), pair[1].trim()];
    if (name === 'skip' || name === 'experimental') {
      const rules = value === 'all' ? 'all' : new Set(value.split(',').map((rule) => rule.trim()));
      settings = { ...settings, [name]: rules };
    } else if (name === 'error') {
      const truth = parseGoBool(value);
      if (truth === undefined) throw invalid(part);
      settings = { ...settings, error: truth };
    } else throw invalid(part);
  }
  return settings;
}

function invalid(part: string): KilnError {
  return new KilnError('invalid_argument', `invalid check option ${JSON.stringify(part)}`, {
    hint: 'write skip=RuleA,RuleB and error=true, separated by a semicolon',
  });
}

/** Hands findings on, unless settings leave their rule out. */
export class Linter {
  readonly #settings: LintSettings;
  readonly #report: (finding: LintFinding) => void;
  readonly #found: LintFinding[];

  constructor(settings: LintSettings, report: (finding: LintFinding) => void, found: LintFinding[] = []) {
    this.#settings = settings;
    this.#report = report;
    this.#found = found;
  }

  report(rule: LintRule, range: Range, message: string): void {
    const { skip, experimental } = this.#settings;
    if (rule.experimental) {
      if (experimental !== 'all' && !experimental.has(rule.name)) return;
    } else if (skip === 'all' || skip.has(rule.name)) return;
    const finding = { rule, range, message };
    this.#found.push(finding);
    this.#report(finding);
  }

  /** The linter for one instruction: a comment above it can say `check=skip=…` too. */
  for(comments: readonly string[]): Linter {
    for (const comment of comments) {
      const directive = parseDirective(comment);
      if (directive?.name !== 'check') continue;
      let own: LintSettings;
      try {
        own = parseLintSettings(directive.value.split(' ')[0]!);
      } catch {
        // A comment that reads like a directive may as well be prose.
        return this;
      }
      const settings = {
        skip: union(this.#settings.skip, own.skip),
        experimental: union(this.#settings.experimental, own.experimental),
        error: this.#settings.error,
      };
      return new Linter(settings, this.#report, this.#found);
    }
    return this;
  }

  /** Throws `failed_precondition` with the places of all findings when something was found and findings are errors. */
  throwIfFailed(source: DockerfileSource): void {
    if (!this.#settings.error || this.#found.length === 0) return;
    const rules = new Set(this.#found.map(({ rule }) => rule.name));
    const error = new KilnError(
      'failed_precondition',
      `lint violation found for rules: ${[...rules].join(', ')}`,
      { hint: 'the file asks for warnings to be errors (check=error=true)' },
    );
    throw atSource(
      error,
      source,
      this.#found.map(({ range }) => range),
    );
  }
}

function union(a: 'all' | ReadonlySet<string>, b: 'all' | ReadonlySet<string>): 'all' | ReadonlySet<string> {
  return a === 'all' || b === 'all' ? 'all' : new Set([...a, ...b]);
}
