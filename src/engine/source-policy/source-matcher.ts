import { KilnError } from '../../base/errors.ts';
import type { SourceOp } from '../../llb/op.ts';
import { expandTemplate } from './expand-template.ts';
import type { AttributeConstraint, SourceSelector } from './source-policy.ts';

/** A selector that is ready to be used. */
export interface SourceMatcher {
  matches(source: SourceOp): boolean;
  /** `template` filled in with the parts of `identifier`, as `SourceUpdate` says. */
  convert(identifier: string, template: string): string;
}

/** Throws `invalid_argument` for a pattern that cannot be one. */
export function compileSelector(selector: SourceSelector): SourceMatcher {
  const constraints = selector.constraints.map(compileConstraint);
  const pattern = patternOf(selector);
  return {
    matches: ({ identifier, attrs }) =>
      constraints.every((holds) => holds(attrs)) &&
      (identifier === selector.identifier || pattern?.test(identifier) === true),
    convert: (identifier, template) =>
      pattern
        ? identifier.replace(new RegExp(pattern, `${pattern.flags}g`), (...found) =>
            expandTemplate(template, groupOf(found)),
          )
        : template,
  };
}

/** Undefined when only the identifier itself matches. */
function patternOf({ identifier, match }: SourceSelector): RegExp | undefined {
  switch (match) {
    case 'exact':
      return undefined;
    case 'regex':
      return compileExpression(identifier);
    case 'wildcard':
      if (identifier.includes('**')) {
        throw new KilnError(
          'invalid_argument',
          `invalid wildcard ${JSON.stringify(identifier)}: ** stands for nothing`,
          {
            hint: 'write a single *, which matches slashes too',
          },
        );
      }
      return new RegExp(`^${identifier.split('*').map(RegExp.escape).join('(.*)')}$`);
  }
}

/** An expression in Go's syntax, as far as it differs from this language's: named groups, flags in front, `\A` and `\z`. */
function compileExpression(text: string): RegExp {
  const [, flags = '', body = text] = /^\(\?([ims]+)\)(.*)$/s.exec(text) ?? [];
  const translated = body
    .replaceAll('(?P<', '(?<')
    .replace(/\\([Az\\])/g, (written, letter) =>
      letter === 'A' ? '(?<![\\s\\S])' : letter === 'z' ? '(?![\\s\\S])' : written,
    );
  try {
    return new RegExp(translated, flags);
  } catch (cause) {
    throw new KilnError('invalid_argument', `invalid regular expression ${JSON.stringify(text)}`, { cause });
  }
}

function compileConstraint({ key, value, condition }: AttributeConstraint) {
  const attribute = (attrs: SourceOp['attrs']) => (Object.hasOwn(attrs, key) ? attrs[key]! : '');
  switch (condition) {
    case 'equal':
      return (attrs: SourceOp['attrs']) => attribute(attrs) === value;
    case 'not-equal':
      return (attrs: SourceOp['attrs']) => attribute(attrs) !== value;
    case 'matches': {
      const pattern = compileExpression(value);
      return (attrs: SourceOp['attrs']) => pattern.test(attribute(attrs));
    }
  }
}

/** The groups among what `String.replace` hands on: the match, its groups, where it is, the whole text, groups by name. */
function groupOf(found: readonly unknown[]): (name: string) => string | undefined {
  const named = typeof found.at(-1) === 'object' ? (found.at(-1) as Record<string, string>) : {};
  const numbered = found.slice(
    0,
    found.findIndex((each) => typeof each === 'number'),
  );
  return (name) => (/^\d+$/.test(name) ? (numbered[Number(name)] as string | undefined) : named[name]);
}
