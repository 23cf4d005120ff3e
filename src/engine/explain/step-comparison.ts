import type { EntryComparer } from '../../content-hash/content-entries.ts';
import { type Cause, rootOf } from './cause.ts';
import { compareFields } from './compare-fields.ts';
import { fileCause, isSameInput, selectionText } from './compare-inputs.ts';
import type { AccountInput, StepAccount } from './step-account.ts';

/** A step of this build that was explained. `near`: the key of the step that it was compared with. */
export interface Explained {
  readonly cause: Cause;
  readonly near: string | undefined;
}

export interface StepComparisonOptions {
  readonly entries: EntryComparer;
  /** The step that is known by one of the keys. */
  readonly find: (keys: readonly string[]) => StepAccount | undefined;
  readonly explained: (key: string) => Explained | undefined;
}

/** How far differences are followed up through steps that were not explained themselves. */
const maxDepth = 50;

/** Finds the first difference between two steps, looking up the steps that they build on. */
export class StepComparison {
  readonly #options: StepComparisonOptions;

  constructor(options: StepComparisonOptions) {
    this.#options = options;
  }

  /** `pruned` when nothing differs. */
  async cause(before: StepAccount, after: StepAccount, depth = 0): Promise<Cause> {
    const changed = compareFields(before.fields, after.fields);
    if (changed) return changed;
    for (const [index, input] of after.inputs.entries()) {
      const counterpart = before.inputs[index];
      if (!counterpart) return { kind: 'follows', name: 'inputs', after: input.step };
      if (!isSameInput(counterpart, input)) return await this.#inputCause(counterpart, input, depth);
    }
    const source = after.fields.find(({ kind }) => kind === 'image');
    if (source && before.key !== after.key) return { kind: 'source', name: source.name };
    return { kind: 'pruned' };
  }

  async #inputCause(before: AccountInput, after: AccountInput, depth: number): Promise<Cause> {
    if (before.content === undefined || after.content === undefined)
      return await this.#stepCause(before, after, depth);
    const [old, now] = [selectionText(before.selections), selectionText(after.selections)];
    if (old !== now) return { kind: 'option', name: 'the source', before: old, after: now };
    const comparison = await this.#options.entries.compare(before.content, after.content);
    return (comparison && fileCause(comparison, after)) ?? { kind: 'files', from: after.from };
  }

  async #stepCause(before: AccountInput, after: AccountInput, depth: number): Promise<Cause> {
    const { find, explained } = this.#options;
    const [old, now] = [find(before.keys), find(after.keys)];
    const known = now && explained(now.key);
    if (known && (known.near === old?.key || known.near === undefined || known.near === now.key))
      return rootOf(known.cause, after.step);
    if (!old || !now || depth >= maxDepth) {
      if (before.step === after.step) return { kind: 'parent', step: after.step };
      return { kind: 'follows', name: 'step', before: before.step, after: after.step };
    }
    const isEdit = old.place.text === now.place.text || old.place.kind === now.place.kind;
    if (!isEdit || (old.place.kind !== 'FROM' && old.place.position !== now.place.position))
      return { kind: 'follows', name: 'step', before: before.step, after: after.step };
    return rootOf(await this.cause(old, now, depth + 1), after.step);
  }

  /** The cause for a step whose input ran again. */
  parentCause(input: AccountInput): Cause {
    const account = this.#options.find(input.keys);
    const known = account && this.#options.explained(account.key);
    return known ? rootOf(known.cause, input.step) : { kind: 'parent', step: input.step };
  }
}
