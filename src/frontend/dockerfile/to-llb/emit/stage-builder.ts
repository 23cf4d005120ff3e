import type { Platform } from '../../../../base/platform.ts';
import type { State, VertexOptions } from '../../../../llb/llb.ts';
import { linesOf, locateIn } from '../../dockerfile-error.ts';
import { expandWord, type Variables } from '../../expand/expand-word.ts';
import type { ParsedWord } from '../../expand/word-tree.ts';
import type { Linter } from '../../lint/linter.ts';
import type { ArgDefinition, Instruction } from '../../parse/instruction-tree.ts';
import type { ConversionContext, PathSet } from '../plan/conversion-context.ts';
import type { Command, TreeNode } from '../plan/stage-graph.ts';
import { type ImageDraft, withConfig, withDefaultPath } from '../values/image-draft.ts';
import { platformPrefix, stepPrefix } from '../values/step-name.ts';
import { resolveWorkdir, toSlash } from '../values/target-path.ts';
import { GrowingImage } from './growing-image.ts';
import { reportUndefined } from './report-undefined.ts';
import { StageParameters } from './stage-parameters.ts';

/** What a stage starts from. */
export interface StageStart {
  readonly tree: State;
  readonly image: ImageDraft;
  readonly platform: Platform;
  /** The paths of the tree it starts from that are read. */
  readonly paths: PathSet;
  readonly args: readonly ArgDefinition[];
  readonly workdirSet: boolean;
}

/** A stage while its instructions are carried out one after another: its files and settings, its image's config. */
export class StageBuilder {
  readonly node: TreeNode;
  readonly context: ConversionContext;
  readonly platform: Platform;
  readonly paths: PathSet;
  readonly noCache: boolean;
  /** Its files and settings. The variables are behind: `stateToRun` brings them up to date. */
  state: State;
  readonly image: GrowingImage;
  /** `ARG`s with their values, in order. */
  readonly args: ArgDefinition[];
  readonly #argNames: Set<string>;
  /** What instructions and steps see, in the order of the last assignment. */
  readonly #env: Map<string, string>;
  /** Whether the state's variables are those of `#env`. */
  #isCurrent = true;
  workdirSet: boolean;
  /** Where the last `CMD`, `ENTRYPOINT` and `HEALTHCHECK` of this stage are. */
  readonly lastOf = new Map<Instruction['kind'], Instruction['range']>();
  readonly parameters: StageParameters;
  readonly #displayName: string;
  readonly #steps: number;
  #step: number;

  constructor(
    node: TreeNode,
    context: ConversionContext,
    start: StageStart,
    usedInFrom: ReadonlySet<string>,
    display: { readonly name: string; readonly steps: number; readonly step: number },
  ) {
    this.node = node;
    this.context = context;
    this.platform = start.platform;
    this.paths = start.paths;
    this.args = [...start.args];
    this.#argNames = new Set(start.args.map(({ name }) => name));
    this.workdirSet = start.workdirSet;
    const { noCache } = context.options;
    this.noCache = noCache === 'all' || noCache.has(node.stage?.from.name ?? '');
    this.parameters = new StageParameters(usedInFrom);
    this.#displayName = display.name;
    this.#steps = display.steps;
    this.#step = display.step;
    const image = withDefaultPath(start.image);
    this.image = new GrowingImage(image);
    this.state = this.#initialState(start.tree, image);
    this.#env = new Map(this.state.settings.env);
  }

  /** The state with all variables. They are added only when a step needs them, because every state has its own list. */
  get stateToRun(): State {
    if (!this.#isCurrent) this.state = this.state.envs(this.#env);
    this.#isCurrent = true;
    return this.state;
  }

  setEnv(name: string, value: string): void {
    this.#env.delete(name);
    this.#env.set(name, value);
    this.#isCurrent = false;
  }

  addArg(arg: ArgDefinition): void {
    this.args.push(arg);
    this.#argNames.add(arg.name);
  }

  /** The start of a stage that is based on this one. Triggers are not passed on. */
  get result(): StageStart {
    const { stateToRun: tree, platform, paths, args, workdirSet } = this;
    const image = withConfig(this.image.draft, { OnBuild: undefined });
    return { tree, platform, paths, args, workdirSet, image };
  }

  get os(): string {
    return this.platform.os;
  }

  /** Variables that instructions see: `ENV`s and `ARG`s. */
  get variables(): Variables {
    return this.context.growth.count({
      get: (name) => this.#env.get(name),
      names: () => this.#env.keys(),
    });
  }

  /** Expands a word of `instruction`, reporting variables that nothing defines. */
  expand(word: string | ParsedWord, instruction: Instruction, linter: Linter): string {
    const unset = new Set<string>();
    const onUnset = (name: string) => unset.add(name);
    const parsed = typeof word === 'string' ? this.context.words.get(word) : word;
    try {
      const locate = locateIn(parsed.text, instruction.places, this.context.file);
      return expandWord(parsed, this.variables, { onUnset, locate }).text;
    } finally {
      if (unset.size > 0) reportUndefined(unset, this.#argNames, this.variables, instruction.range, linter);
    }
  }

  /** Adds to the image's history. `layer`: the instruction changed files. */
  commit(createdBy: string, layer: boolean): void {
    this.context.growth.spend(createdBy.length);
    this.image.addHistory(createdBy, layer, this.context.epoch);
  }

  /** `[stage 2/4] RUN …`: counts one step on. */
  nextName(text: string, { instruction, onbuild }: Command): VertexName {
    this.#step++;
    const prefix = stepPrefix(
      this.#displayName,
      this.#step,
      this.#steps,
      this.context.options.multiPlatform ? platformPrefix(this.platform, this.variables) : '',
    );
    const name = (word: string) => `${prefix}${onbuild && prefix ? 'ONBUILD ' : ''}${word}`;
    const locations = [{ file: this.context.file, ranges: linesOf(instruction.range) }];
    return {
      of: (options = {}) => ({ locations, name: name(text), ...options }),
      withPrefix: (before) => name(`${before} ${text}`),
    };
  }

  setWorkdir(path: string): void {
    const workdir = resolveWorkdir(this.image.config.WorkingDir ?? '', path, this.os);
    this.image.configure({ WorkingDir: workdir });
    this.state = this.state.dir(toSlash(workdir, this.os));
  }

  #initialState(tree: State, image: ImageDraft): State {
    const { hostname, network } = this.context.options;
    const { Env = [], WorkingDir, User } = image.config;
    const env = Env.map((entry) => {
      const equals = entry.indexOf('=');
      return equals < 0
        ? ([entry, ''] as const)
        : ([entry.slice(0, equals), entry.slice(equals + 1)] as const);
    });
    let state = tree.platform(this.platform).envs(env.filter(([name]) => name !== ''));
    if (hostname) state = state.hostname(hostname);
    if (WorkingDir) {
      const workdir = resolveWorkdir(WorkingDir, WorkingDir, this.os);
      this.image.configure({ WorkingDir: workdir });
      state = state.dir(toSlash(workdir, this.os));
    }
    if (User) state = state.user(User);
    return state.network(network);
  }
}

/** The names of the vertices of one step. */
export interface VertexName {
  /** The options of a vertex of the step: its name and place. */
  of(options?: VertexOptions): VertexOptions;
  /** The step's name with a word before the instruction. */
  withPrefix(before: string): string;
}
