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
  const { outputs, needs } = readBy(changed);
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

/** Changes in the midst of which others come first: those that a copy reads. They can be nested deeper than the stack is deep. */
class Walk {
  readonly changed: ChangedFiles;
  readonly actions: readonly PendingAction[];
  at = 0;
  /** The number of the last action that was placed. */
  last: number = noIndex;

  constructor(changed: ChangedFiles, actions: readonly PendingAction[]) {
    this.changed = changed;
    this.actions = actions;
    if (actions.length === 0) {
      throw new KilnError('invalid_argument', 'a file op needs at least one change');
    }
  }
}

/**
 * What the changes read and need. The ops of a definition come in the order in which BuildKit's own clients walk through the changes,
 * from the last to the first.
 */
function readBy(changed: ChangedFiles) {
  const outputs: (Output | undefined)[] = [];
  const needs = new Set<Capability>([capabilities.fileBase]);
  const seen = new Set<ChangedFiles>();
  const walks: Walk[] = [];
  const enter = (next: ChangedFiles) => {
    if (seen.has(next)) return;
    seen.add(next);
    outputs.push(next.tree.output);
    walks.push(new Walk(next, next.changes.actions.toReversed()));
  };
  enter(changed);
  for (let walk = walks.at(-1); walk; walk = walks.at(-1)) {
    const action = walk.actions[walk.at++];
    if (!action) {
      walks.pop();
      continue;
    }
    for (const need of action.needs) needs.add(need);
    if (!action.from) continue;
    if (isChanged(action.from)) enter(action.from);
    else outputs.push(action.from.output);
  }
  return { outputs, needs };
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

  add(changed: ChangedFiles): void {
    const walks = [new Walk(changed, changed.changes.actions)];
    for (let walk = walks.at(-1); walk; walk = walks.at(-1)) {
      const action = walk.actions[walk.at];
      if (action) {
        const first = this.#place(walk, action);
        if (first) walks.push(new Walk(first, first.changes.actions));
      } else {
        this.#added.set(walk.changed, walk.last);
        walks.pop();
      }
    }
  }

  /** Adds an action, or returns what has to be there before it. */
  #place(walk: Walk, action: PendingAction): ChangedFiles | undefined {
    const { tree } = walk.changed;
    const base = this.#inputs.add(tree.output);
    const { from } = action;
    let source: Place = { input: noIndex };
    if (from && isChanged(from)) {
      const last = this.#added.get(from);
      if (last === undefined) return from;
      source = { action: last };
    } else if (from) source = { input: this.#inputs.add(from.output) };
    const target = walk.last === noIndex ? { input: base } : { action: walk.last };
    walk.last = this.#placed.push({ action, tree, base, target, source }) - 1;
    walk.at++;
    return undefined;
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
