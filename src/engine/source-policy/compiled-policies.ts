import { asKilnError, KilnError } from '../../base/errors.ts';
import { ownValue } from '../../base/own-value.ts';
import { withoutCredentials } from '../../base/secrecy/without-credentials.ts';
import type { SourceOp } from '../../llb/op.ts';
import { compileSelector, type SourceMatcher } from './source-matcher.ts';
import type { SourcePolicy, SourceRule } from './source-policy.ts';

/** How many times one source may be converted before its rules are taken to go round in circles. */
const conversionLimit = 20;

type CompiledRule = SourceRule & { readonly matcher: SourceMatcher; readonly name: string };

/** Several policies: each of them has to allow a source. */
export class CompiledPolicies {
  readonly #policies: readonly (readonly CompiledRule[])[];

  /** Throws `invalid_argument` naming the rule that makes no sense. */
  constructor(policies: readonly SourcePolicy[]) {
    this.#policies = policies.map(({ rules }) => rules.map(compileRule));
  }

  /** The source to use in the place of `source`, itself if no rule converts it. Throws `permission_denied`. */
  apply(source: SourceOp): SourceOp {
    let current = source;
    for (let conversions = 0; ; conversions++) {
      const converted = this.#convert(current);
      if (!converted) return current;
      if (conversions === conversionLimit) {
        throw new KilnError(
          'failed_precondition',
          `source ${JSON.stringify(withoutCredentials(source.identifier))}: too many conversions by the source policy, the last by ${converted.rule}`,
          { hint: 'its rules convert the source in a circle: make the selector of one of them narrower' },
        );
      }
      current = converted.source;
    }
  }

  /** The first conversion that changes the source; undefined when there is none and the source is allowed. */
  #convert(source: SourceOp): { readonly source: SourceOp; readonly rule: string } | undefined {
    for (const rules of this.#policies) {
      let decision: CompiledRule | undefined;
      for (const rule of rules) {
        if (!rule.matcher.matches(source)) continue;
        if (rule.action === 'convert') {
          const converted = convert(source, rule);
          if (converted) return { source: converted, rule: rule.name };
        } else decision = rule;
      }
      if (decision?.action === 'deny') {
        throw new KilnError(
          'permission_denied',
          `source ${JSON.stringify(withoutCredentials(source.identifier))} denied by policy: ${decision.name}: source denied by policy`,
          { hint: 'use another source, or let a later rule of the source policy allow this one' },
        );
      }
    }
    return undefined;
  }
}

function compileRule(rule: SourceRule, index: number): CompiledRule {
  const name = `rule ${index + 1}, ${rule.action.toUpperCase()} ${rule.selector.identifier}`;
  try {
    return { ...rule, matcher: compileSelector(rule.selector), name };
  } catch (error) {
    throw asKilnError(error).wrap(`source policy: ${name}`);
  }
}

function convert(
  source: SourceOp,
  { matcher, update }: CompiledRule & { readonly action: 'convert' },
): SourceOp | undefined {
  const identifier = matcher.convert(source.identifier, update.identifier) || source.identifier;
  const attrs = { ...source.attrs, ...update.attrs };
  const same = Object.keys(update.attrs).every((key) => ownValue(source.attrs, key) === attrs[key]);
  return identifier === source.identifier && same ? undefined : { identifier, attrs };
}
