import { isSameInput } from './compare-inputs.ts';
import type { StepAccount } from './step-account.ts';

/**
 * The earlier step that a step is an edit of: the one that has most in common with it, and the first of equals (give the latest
 * first). Undefined when none has enough in common. `isTaken`: whether the build has that earlier step unchanged.
 */
export function nearestAccount(
  step: StepAccount,
  earlier: readonly StepAccount[],
  isTaken: (other: StepAccount) => boolean,
): StepAccount | undefined {
  let best: { readonly account: StepAccount; readonly score: number } | undefined;
  for (const account of earlier) {
    if (account.place.kind !== step.place.kind) continue;
    const sameText = account.place.text === step.place.text;
    if (!sameText && isTaken(account)) continue;
    const score = likeness(step, account);
    if (score > 0 && (!best || score > best.score)) best = { account, score };
  }
  return best?.account;
}

/** The weight from which on two steps have enough in common. */
const enough = 1;

function likeness(step: StepAccount, other: StepAccount): number {
  const shared = sharedWords(step.place.text, other.place.text);
  const equalInputs = step.inputs.filter((input, index) => {
    const counterpart = other.inputs[index];
    return counterpart && isSameInput(counterpart, input);
  }).length;
  const sameText = step.place.text === other.place.text ? 1 : 0;
  const samePlace =
    step.place.position > 0 &&
    step.place.position === other.place.position &&
    step.place.stage === other.place.stage;
  const related = sameText + (shared >= 0.5 ? 1 : 0) + (samePlace && equalInputs > 0 ? 1 : 0);
  if (related < enough) return 0;
  const equalFields = step.fields.filter(({ kind, name, value }) =>
    other.fields.some((field) => field.kind === kind && field.name === name && field.value === value),
  ).length;
  return (
    sameText * 10 +
    shared * 4 +
    equalInputs * 3 +
    // Of steps with the same text the latest counts, wherever it stood.
    (samePlace && !sameText ? 2 : 0) +
    equalFields / Math.max(1, step.fields.length)
  );
}

/** The share of words that two texts of one kind have in common, after the first, which is the kind. */
function sharedWords(one: string, other: string): number {
  const words = new Set(one.split(/\s+/).slice(1));
  const others = new Set(other.split(/\s+/).slice(1));
  const common = [...words].filter((word) => others.has(word)).length;
  return common / Math.max(words.size, others.size, 1);
}
