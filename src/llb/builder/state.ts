import { KilnError } from '../../base/errors.ts';
import { normalizePlatform, type Platform } from '../../base/platform.ts';
import { joinPath } from '../clean-path.ts';
import type { NetworkMode, Op, SecurityMode } from '../op.ts';
import { noIndex } from '../op.ts';
import { capabilities } from '../vertex-capabilities.ts';
import { type BuildOptions, buildVertex } from './build-vertex.ts';
import type { DescribedTree, ProcessOptions, StateSettings } from './described-tree.ts';
import { type ExecOptions, execVertex } from './exec-vertex.ts';
import type { FileActions } from './file-actions.ts';
import { fileVertex } from './file-vertex.ts';
import { imageSettings } from './image-settings.ts';
import { passthroughVertex } from './passthrough-vertex.ts';
import { splitCommand } from './split-command.ts';
import { fixedOutput, type Output, opVertex, type Vertex, type VertexOptions } from './vertex.ts';

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

  /** An output of a vertex, by default the first one, or the result of a graph. */
  static of(vertex: Vertex, index = vertex.kind === 'graph' ? vertex.result.index : 0): State {
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

  /**
   * The settings that an image's config has for processes: its variables, its working directory and its platform. Its user is not among
   * them, as with BuildKit's own clients. Throws `invalid_argument` for what is no config.
   *
   * @example
   * ```ts
   * import { image } from 'kiln/llb';
   *
   * const config = { os: 'linux', architecture: 'arm64', config: { Env: ['PATH=/bin'], WorkingDir: '/srv' } };
   * const { settings } = image('alpine').withImageConfig(JSON.stringify(config));
   * assert.equal(settings.dir, '/srv');
   * assert.equal(settings.platform?.architecture, 'arm64');
   * ```
   */
  withImageConfig(config: string | Uint8Array): State {
    const bytes = typeof config === 'string' ? Buffer.from(config) : config;
    const { env, dir, platform } = imageSettings(bytes);
    const state = this.envs(env).dir(dir);
    return platform ? state.platform(platform) : state;
  }

  /**
   * Runs a process on the tree; the result is the tree as it left it. A command in one text is split by `splitCommand`: there is no shell.
   *
   * @example
   * ```ts
   * import { image, local } from 'kiln/llb';
   *
   * const built = image('golang:1.24').run('go build -o /out/app .', {
   *   dir: '/src',
   *   env: { CGO_ENABLED: '0' },
   *   mounts: [
   *     { dest: '/src', from: local('context'), readonly: true },
   *     { dest: '/out' },
   *     { dest: '/root/.cache', type: { kind: 'cache', id: 'go' } },
   *   ],
   *   secrets: [{ id: 'token', env: 'TOKEN' }],
   *   name: 'build the app',
   * });
   * const app = built.mount('/out');
   * assert.equal(app.settings.dir, '/');
   * ```
   */
  run(command: string | readonly string[], options: ExecOptions = {}): ExecState {
    const args = typeof command === 'string' ? splitCommand(command) : command;
    const { vertex, outputs } = execVertex(this.#forProcess(options), args, options);
    const { platform } = options;
    const after = (index: number | undefined, before: State): State | undefined => {
      if (index === undefined) return undefined;
      const state = new State({ kind: 'fixed', vertex, index }, before.settings);
      return platform ? state.platform(platform) : state;
    };
    const mounts = new Map<string, State>();
    for (const { dest, from, readonly } of options.mounts ?? []) {
      const before = from ? State.from(from) : State.empty;
      const state = readonly ? before : after(outputs.get(dest), before);
      if (state && !mounts.has(dest)) mounts.set(dest, state);
    }
    return new ExecState(after(outputs.get('/'), this) ?? this, mounts);
  }

  /** Changes files of the tree. */
  file(changes: FileActions, options: VertexOptions = {}): State {
    return this.withTree(State.of(fileVertex(this, changes, options)));
  }

  /**
   * The tree, once all of `others` are there, too: they are built, and what they are goes into its cache key, but nothing of them is in the tree.
   * `id` is part of the vertex's identity.
   */
  requires(id: string, ...others: readonly State[]): State {
    if (others.length === 0) return this;
    const [state] = passthrough(id, [{ tree: this, output: true }, ...others.map((tree) => ({ tree }))]);
    return state ? this.withTree(state) : this;
  }

  /**
   * What the definition says that the tree holds: it is read and built when the tree is there.
   *
   * @example
   * ```ts
   * import { encodeDefinition, files, image, scratch, toDefinition } from 'kiln/llb';
   *
   * const inner = encodeDefinition(toDefinition(image('alpine').run('touch /made').root));
   * const made = scratch().file(files().mkfile('/graph', 0o644, inner)).build({ filename: '/graph' });
   * assert.equal(toDefinition(made).ops.length, 3);
   * ```
   */
  build(options: BuildOptions = {}): State {
    return this.withTree(State.of(buildVertex(this.output, options)));
  }

  #forProcess(options: ProcessOptions): State {
    let state: State = this;
    if (options.env) state = state.envs(Object.entries(options.env));
    if (options.dir !== undefined) state = state.dir(options.dir);
    const { settings } = state;
    return state.#with({
      user: options.user ?? settings.user,
      hostname: options.hostname ?? settings.hostname,
      network: options.network ?? settings.network,
      security: options.security ?? settings.security,
      extraHosts: [...settings.extraHosts, ...(options.extraHosts ?? [])],
      ulimits: [...settings.ulimits, ...(options.ulimits ?? [])],
      cgroupParent: options.cgroupParent ?? settings.cgroupParent,
    });
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

/**
 * The trees laid over each other, the first at the bottom. Empty ones do not count. Settings are the first one's.
 *
 * @example
 * ```ts
 * import { diff, image, merge } from 'kiln/llb';
 *
 * const base = image('alpine');
 * const changes = ['/a', '/b'].map((path) => diff(base, base.run(['touch', path]).root));
 * const both = merge([base, ...changes]);
 * assert.deepEqual(both.settings, base.settings);
 * ```
 */
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
  if (!lower.output) return upper.output ? upper : State.empty;
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

export interface PassthroughInput {
  readonly tree: State;
  /** Whether it is given on. */
  readonly output?: boolean;
}

/**
 * Those of the trees that are to be given on, once all of them are there. Empty trees do not count. `id` is part of the vertex's identity.
 * Throws `invalid_argument` when there is none to be given on.
 *
 * @example
 * ```ts
 * import { image, passthrough } from 'kiln/llb';
 *
 * const checked = image('alpine').run('true').root;
 * const [tree] = passthrough('checked', [{ tree: image('alpine'), output: true }, { tree: checked }]);
 * assert.notEqual(tree?.output, undefined);
 * ```
 */
export function passthrough(
  id: string,
  inputs: readonly PassthroughInput[],
  options: VertexOptions = {},
): readonly State[] {
  const outputs: Output[] = [];
  const given: number[] = [];
  for (const { tree, output } of inputs) {
    if (!tree.output) continue;
    outputs.push(tree.output);
    if (output) given.push(outputs.length - 1);
  }
  const vertex = passthroughVertex(id, outputs, given, options);
  return given.map((_, index) => State.of(vertex, index));
}
