import {
  type AttrConstraint,
  AttrMatch,
  MatchType,
  type Policy,
  PolicyAction,
  type Rule,
  type Selector,
} from '../../api/gen/policy_pb.js';
import { KilnError } from '../../base/errors.ts';
import type {
  AttributeConstraint,
  SourcePolicy,
  SourceRule,
  SourceSelector,
} from '../../engine/source-policy/source-policy.ts';

const matches: Readonly<Record<MatchType, SourceSelector['match']>> = {
  [MatchType.WILDCARD]: 'wildcard',
  [MatchType.EXACT]: 'exact',
  [MatchType.REGEX]: 'regex',
};

const conditions: Readonly<Record<AttrMatch, AttributeConstraint['condition']>> = {
  [AttrMatch.EQUAL]: 'equal',
  [AttrMatch.NOT_EQUAL]: 'not-equal',
  [AttrMatch.MATCHES]: 'matches',
};

/** Throws `invalid_argument` naming the rule that lacks something, or has something unknown. */
export function policyFromMessage({ rules }: Policy): SourcePolicy {
  return { rules: rules.map(ruleFromMessage) };
}

function ruleFromMessage({ action, selector, updates }: Rule, index: number): SourceRule {
  const invalid = (why: string) =>
    new KilnError('invalid_argument', `source policy: rule ${index + 1}: ${why}`);
  if (!selector) throw invalid('invalid nil selector in policy');
  const from = selectorFromMessage(selector, invalid);
  switch (action) {
    case PolicyAction.ALLOW:
      return { action: 'allow', selector: from };
    case PolicyAction.DENY:
      return { action: 'deny', selector: from };
    case PolicyAction.CONVERT:
      if (!updates) throw invalid('missing destination for convert rule');
      return {
        action: 'convert',
        selector: from,
        update: { identifier: updates.identifier, attrs: updates.attrs },
      };
    default:
      throw invalid(`unknown type of action ${action}`);
  }
}

function selectorFromMessage(
  { identifier, matchType, constraints }: Selector,
  invalid: (why: string) => KilnError,
): SourceSelector {
  const match = matches[matchType];
  if (!match) throw invalid(`unknown type of match ${matchType}`);
  return {
    identifier,
    match,
    constraints: constraints.map(({ key, value, condition: number }: AttrConstraint) => {
      const condition = conditions[number];
      if (!condition) throw invalid(`unknown condition ${number} on attribute ${key}`);
      return { key, value, condition };
    }),
  };
}
