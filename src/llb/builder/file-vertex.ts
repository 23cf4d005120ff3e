import { KilnError } from '../../base/errors.ts';
import type { FileAction, Op } from '../op.ts';
import { noIndex } from '../op.ts';
import { type Capability, capabilities } from '../vertex-capabilities.ts';
import type { DescribedTree } from './described-tree.ts';
import {
  type ChangedFiles,
  type FileActions,
  isChanged,
  type PendingAction,
  parseOwner,
} from './file-actions.ts';
import {
  InputList,
  type InputNames,
  type Output,
  opVertex,
  type Vertex,
  type VertexOptions,
} from './vertex.ts';

/** The vertex of file changes to a tree. Throws `invalid_argument` when there are none. */
export function fileVertex(tree: DescribedTree, changes: FileActions, options: VertexOptions): Vertex {
  const changed: ChangedFiles = { tree, changes };
  const outputs: (Output | undefined)[] = [];
  const needs = new Set<Capability>([capabilities.fileBase]);
  collect(changed, outputs, needs, new Set());
  return opVertex(outputs, options, needs, (names): Op => {
    const list = new ActionList(names);
    list.add(changed);
    return {
      inputs: list.inputs,
      constraints: options.constraints ?? [],
      action: { kind: 'file', actions: list.actions() },
    };
  });
}

/**
 * What the changes read and need. The ops of a definition come in the order in which BuildKit's own clients walk through the changes,
 * from the last to the first.
 */
function collect(
  changed: ChangedFiles,
  outputs: (Output | undefined)[],
  needs: Set<Capability>,
  seen: Set<ChangedFiles>,
): void {
  if (seen.has(changed)) return;
  seen.add(changed);
  const { actions } = changed.changes;
  if (actions.length === 0) {
    throw new KilnError('invalid_argument', 'a file op needs at least one change');
  }
  outputs.push(changed.tree.output);
  for (const { from, needs: own } of actions.toReversed()) {
    for (const need of own) needs.add(need);
    if (!from) continue;
    if (isChanged(from)) collect(from, outputs, needs, seen);
    else outputs.push(from.output);
  }
}

/** Where an action reads: in an input of the op, or in what an earlier action made. */
type Place = { readonly input: number } | { readonly action: number };

interface PlacedAction {
  readonly action: PendingAction;
  readonly tree: DescribedTree;
  /** The input of the tree that is changed, where names of owners are looked up. */
  readonly base: number;
  readonly target: Place;
  readonly source: Place;
}

/** The actions of one op. Those on which a copy depends come before it. */
class ActionList {
  readonly #inputs: InputList;
  readonly #placed: PlacedAction[] = [];
  /** The last action of what was added. */
  readonly #added = new Map<ChangedFiles, number>();

  constructor(names: InputNames) {
    this.#inputs = new InputList(names);
  }

  get inputs() {
    return this.#inputs.list;
  }

  add(changed: ChangedFiles): number {
    const known = this.#added.get(changed);
    if (known !== undefined) return known;
    const { tree, changes } = changed;
    let last = noIndex;
    for (const action of changes.actions) {
      const base = this.#inputs.add(tree.output);
      const target = last === noIndex ? { input: base } : { action: last };
      const source = this.#sourceOf(action);
      last = this.#placed.push({ action, tree, base, target, source }) - 1;
    }
    this.#added.set(changed, last);
    return last;
  }

  #sourceOf({ from }: PendingAction): Place {
    if (!from) return { input: noIndex };
    return isChanged(from) ? { action: this.add(from) } : { input: this.#inputs.add(from.output) };
  }

  actions(): readonly FileAction[] {
    const last = this.#placed.length - 1;
    return this.#placed.map(({ action, tree, base, target, source }, at) => ({
      input: this.#number(target),
      secondaryInput: this.#number(source),
      output: at === last ? 0 : noIndex,
      change: action.change(tree.settings.dir, (spec) => (spec ? parseOwner(spec, base) : undefined)),
    }));
  }

  #number(place: Place): number {
    return 'input' in place ? place.input : this.inputs.length + place.action;
  }
}
