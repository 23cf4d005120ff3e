import { KilnError } from '../../base/errors.ts';
import { normalizePlatform, type Platform } from '../../base/platform.ts';
import { joinPath } from '../clean-path.ts';
import type { FileAction, NetworkMode, Op, SecurityMode } from '../op.ts';
import { noIndex } from '../op.ts';
import { type Capability, capabilities } from '../vertex-capabilities.ts';
import type { DescribedTree, StateSettings } from './described-tree.ts';
import { type ExecOptions, execVertex, type MountSpec } from './exec-vertex.ts';
import { type FileActions, parseOwner } from './file-actions.ts';
import { fixedOutput, InputList, type Output, opVertex, type Vertex, type VertexOptions } from './vertex.ts';

const defaultSettings: StateSettings = Object.freeze({
  env: new Map(),
  dir: '/',
  user: '',
  hostname: '',
  network: 'sandbox',
  security: 'sandbox',
  extraHosts: [],
  ulimits: [],
  cgroupParent: '',
});

/**
 * A tree of files, and the settings of processes that are run on it. Immutable: every method returns a new state. Nothing
 * is done until the graph of the state is solved.
 */
export class State implements DescribedTree {
  static readonly empty: State = new State(undefined, defaultSettings);

  /** Undefined for the empty tree. */
  readonly output: Output | undefined;
  readonly settings: StateSettings;

  private constructor(output: Output | undefined, settings: StateSettings) {
    this.output = output;
    this.settings = settings;
    Object.freeze(this);
  }

  /** The tree with the methods of a state. */
  static from(tree: DescribedTree): State {
    return tree instanceof State ? tree : new State(tree.output, tree.settings);
  }

  /** The first output of a vertex, or the result of a graph. */
  static of(vertex: Vertex): State {
    const index = vertex.kind === 'graph' ? vertex.result.index : 0;
    return new State({ kind: 'fixed', vertex, index }, defaultSettings);
  }

  /** A tree that `resolve` decides when the graph is made, once all is known: which files of a context are needed, for example. Called once. */
  static late(resolve: () => State): State {
    let resolved: { readonly output: Output | undefined } | undefined;
    return new State(
      {
        kind: 'late',
        resolve: () => {
          resolved ??= { output: fixedOutput(resolve().output) };
          return resolved.output;
        },
      },
      defaultSettings,
    );
  }

  /** The same settings over the files of another tree. */
  withTree(other: DescribedTree): State {
    return new State(other.output, this.settings);
  }

  env(name: string, value: string): State {
    return this.envs([[name, value]]);
  }

  /** Sets several variables at once. */
  envs(entries: Iterable<readonly [string, string]>): State {
    const env = new Map(this.settings.env);
    for (const [name, value] of entries) {
      env.delete(name);
      env.set(name, value);
    }
    return this.#with({ env });
  }

  /** Relative to the present working directory. */
  dir(path: string): State {
    return this.#with({ dir: path.startsWith('/') ? path : joinPath(this.settings.dir, path) });
  }

  /** `user[:group]`; empty for root. */
  user(user: string): State {
    return this.#with({ user });
  }

  platform(platform: Platform): State {
    return this.#with({ platform: normalizePlatform(platform) });
  }

  hostname(hostname: string): State {
    return this.#with({ hostname });
  }

  network(network: NetworkMode): State {
    return this.#with({ network });
  }

  security(security: SecurityMode): State {
    return this.#with({ security });
  }

  extraHost(host: string, ip: string): State {
    return this.#with({ extraHosts: [...this.settings.extraHosts, { host, ip }] });
  }

  ulimit(name: string, soft: number, hard: number): State {
    return this.#with({ ulimits: [...this.settings.ulimits, { name, soft, hard }] });
  }

  cgroupParent(cgroupParent: string): State {
    return this.#with({ cgroupParent });
  }

  /** Runs a process on the tree; the result is the tree as it left it. */
  run(args: readonly string[], options: ExecOptions = {}): ExecState {
    const { vertex, outputs } = execVertex(this, args, options);
    const tree = (index: number | undefined, fallback: State): State =>
      index === undefined ? fallback : new State({ kind: 'fixed', vertex, index }, this.settings);
    return new ExecState(
      options.readonlyRoot ? this : tree(outputs.get('/'), this),
      new Map(
        (options.mounts ?? []).map((mount) => [
          mount.dest,
          mountResult(mount, tree, outputs.get(mount.dest)),
        ]),
      ),
    );
  }

  /** Changes files of the tree. */
  file(changes: FileActions, options: VertexOptions = {}): State {
    const { actions: pending } = changes;
    if (pending.length === 0) {
      throw new KilnError('invalid_argument', 'a file op needs at least one change');
    }
    const needs = new Set<Capability>([capabilities.fileBase]);
    for (const action of pending) for (const need of action.needs) needs.add(need);
    const sources = pending.map(({ from }) => from?.output);
    const vertex = opVertex([this.output, ...sources], options, needs, (names): Op => {
      const inputs = new InputList(names);
      const base = inputs.add(this.output);
      const from = sources.map((output) => inputs.add(output));
      const last = pending.length - 1;
      const actions = pending.map(
        (action, at): FileAction => ({
          input: at === 0 ? base : inputs.list.length + at - 1,
          secondaryInput: action.from ? from[at]! : noIndex,
          output: at === last ? 0 : noIndex,
          change: action.change(this.settings.dir, (spec) => (spec ? parseOwner(spec, base) : undefined)),
        }),
      );
      return {
        inputs: inputs.list,
        constraints: options.constraints ?? [],
        action: { kind: 'file', actions },
      };
    });
    return new State({ kind: 'fixed', vertex, index: 0 }, this.settings);
  }

  #with(settings: Partial<StateSettings>): State {
    return new State(this.output, Object.freeze({ ...this.settings, ...settings }));
  }
}

/** The tree after a process, and what it left in its mounts. */
export class ExecState {
  readonly root: State;
  readonly #mounts: ReadonlyMap<string, State>;

  constructor(root: State, mounts: ReadonlyMap<string, State>) {
    this.root = root;
    this.#mounts = mounts;
  }

  /** Throws `invalid_argument` for a destination that has no mount, or one that yields no tree (a cache, tmpfs or secret). */
  mount(dest: string): State {
    const state = this.#mounts.get(dest);
    if (state) return state;
    throw new KilnError(
      'invalid_argument',
      `the process has no mount at ${dest} whose files can be used further`,
    );
  }
}

function mountResult(
  mount: MountSpec,
  tree: (index: number | undefined, fallback: State) => State,
  index: number | undefined,
): State {
  return tree(index, mount.from ? State.from(mount.from) : State.empty);
}

/** The trees laid over each other, the first at the bottom. Empty ones do not count. Settings are the first one's. */
export function merge(states: readonly State[], options: VertexOptions = {}): State {
  const layers = states.filter(({ output }) => output !== undefined);
  const [first] = layers;
  if (!first) return State.empty;
  if (layers.length === 1) return first;
  const vertex = opVertex(
    layers.map(({ output }) => output),
    options,
    [capabilities.merge],
    (names): Op => {
      const inputs = layers.map(({ output }) => names.input(output)).filter((input) => input !== undefined);
      return {
        inputs,
        constraints: options.constraints ?? [],
        action: { kind: 'merge', inputs: inputs.map((_, at) => at) },
      };
    },
  );
  return first.withTree(State.of(vertex));
}

/** The layers that have to be laid over `lower` to get `upper`. */
export function diff(lower: State, upper: State, options: VertexOptions = {}): State {
  if (!lower.output) return upper;
  const vertex = opVertex([lower.output, upper.output], options, [capabilities.diff], (names): Op => {
    const below = names.input(lower.output);
    const above = names.input(upper.output);
    const inputs = [below, above].filter((input) => input !== undefined);
    return {
      inputs,
      constraints: options.constraints ?? [],
      action: {
        kind: 'diff',
        lower: below ? 0 : noIndex,
        upper: above ? inputs.length - 1 : noIndex,
      },
    };
  });
  return lower.withTree(State.of(vertex));
}
