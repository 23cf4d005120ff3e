import { KilnError } from '../../base/errors.ts';
import { ownValue } from '../../base/own-value.ts';
import { GoRegexp, quoteMeta } from '../../base/pattern/go-regexp.ts';
import type { SourceOp } from '../../llb/op.ts';
import { expandTemplate } from './expand-template.ts';
import type { AttributeConstraint, SourceSelector } from './source-policy.ts';

/** A compiled selector. */
export interface SourceMatcher {
  matches(source: SourceOp): boolean;
  /** `template` filled in with the parts of `identifier`, as `SourceUpdate` says. */
  convert(identifier: string, template: string): string;
}

/** Throws `invalid_argument` for a pattern that is not valid. */
export function compileSelector(selector: SourceSelector): SourceMatcher {
  const constraints = selector.constraints.map(compileConstraint);
  const pattern = patternOf(selector);
  return {
    matches: ({ identifier, attrs }) =>
      constraints.every((holds) => holds(attrs)) &&
      (identifier === selector.identifier || pattern?.matches(identifier) === true),
    convert: (identifier, template) =>
      pattern ? pattern.replace(identifier, ({ group }) => expandTemplate(template, group)) : template,
  };
}

/** Undefined when only the identifier itself matches. */
function patternOf({ identifier, match }: SourceSelector): GoRegexp | undefined {
  switch (match) {
    case 'exact':
      return undefined;
    case 'regex':
      return new GoRegexp(identifier);
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
      return new GoRegexp(`^${identifier.split('*').map(quoteMeta).join('(.*)')}$`);
  }
}

function compileConstraint({ key, value, condition }: AttributeConstraint) {
  const attribute = (attrs: SourceOp['attrs']) => ownValue(attrs, key) ?? '';
  switch (condition) {
    case 'equal':
      return (attrs: SourceOp['attrs']) => attribute(attrs) === value;
    case 'not-equal':
      return (attrs: SourceOp['attrs']) => attribute(attrs) !== value;
    case 'matches': {
      const pattern = new GoRegexp(value);
      return (attrs: SourceOp['attrs']) => pattern.matches(attribute(attrs));
    }
  }
}
