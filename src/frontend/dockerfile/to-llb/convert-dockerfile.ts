import { KilnError } from '../../../base/errors.ts';
import { PatternMatcher } from '../../../base/pattern/pattern.ts';
import { type Platform, parsePlatform } from '../../../base/platform.ts';
import { type OpGraph, State, toGraph } from '../../../llb/llb.ts';
import { parseReference } from '../../../oci/reference.ts';
import { atSource, locateIn } from '../dockerfile-error.ts';
import { type Expansion, expandWord, type Variables } from '../expand/expand-word.ts';
import { GrowthLimit } from '../expand/growth-limit.ts';
import { checkTree } from '../lint/check-tree.ts';
import { Linter, type LintFinding } from '../lint/linter.ts';
import { lintSettingsOf } from '../lint/parse-checked.ts';
import { lintRules } from '../lint/rules.ts';
import { didYouMean, nearest } from '../nearest.ts';
import type { Dockerfile, FromInstruction, Instruction } from '../parse/instruction-tree.ts';
import { parseTrigger } from '../parse/parse-dockerfile.ts';
import type { OutlineInput } from '../subrequest/outline.ts';
import { convertInstruction } from './emit/convert-instruction.ts';
import { StageBuilder, type StageStart } from './emit/stage-builder.ts';
import { type BaseTree, resolveBaseTree } from './plan/base-tree.ts';
import type { BuildInputs } from './plan/build-inputs.ts';
import { type ConversionContext, PathSet } from './plan/conversion-context.ts';
import { type DeclaredArg, globalArgs, predefinedArgs, proxyEnvOf, variablesOf } from './plan/global-args.ts';
import type { ImageResolver } from './plan/image-resolver.ts';
import type { RequestOptions } from './plan/request-options.ts';
import { type EpochContext, epochName, resolveEpoch } from './plan/source-date-epoch.ts';
import {
  type Command,
  reachableFrom,
  type StageGraph,
  StageGraphBuilder,
  type TreeNode,
} from './plan/stage-graph.ts';
import { type ImageDraft, withConfig } from './values/image-draft.ts';

export interface ConversionRequest {
  readonly dockerfile: Dockerfile;
  readonly options: RequestOptions;
  readonly inputs: BuildInputs;
  readonly images: ImageResolver;
  readonly bridge: EpochContext['bridge'];
  /** The platform of the machine that runs the steps. */
  readonly buildPlatform: Platform;
  /** Undefined for the machine's own. */
  readonly targetPlatform: Platform | undefined;
  readonly onFinding: (finding: LintFinding) => void;
  readonly signal: AbortSignal;
}

/** A target stage as LLB, and the config of its image. */
export interface Conversion {
  readonly graph: OpGraph;
  readonly image: ImageDraft;
  /** The config of the image that the stage comes from in the end. */
  readonly baseConfig: Uint8Array | undefined;
  /** `SOURCE_DATE_EPOCH` in seconds. */
  readonly epoch: number | undefined;
}

/** Converts the target stage and what it needs. Errors about the file have their place among the details. */
export async function convertDockerfile(request: ConversionRequest): Promise<Conversion> {
  return converterFor(request).convert();
}

/** Makes every check, on all stages unless the client names one. Throws what would make a build fail. */
export async function checkDockerfile(request: ConversionRequest): Promise<void> {
  await converterFor(request).check();
}

/** What the target stage can be given. Throws what would make a build fail. */
export async function outlineDockerfile(request: ConversionRequest): Promise<OutlineInput> {
  return converterFor(request).outline();
}

function converterFor(request: ConversionRequest): DockerfileConverter {
  const { dockerfile, options } = request;
  const linter = new Linter(options.lint ?? lintSettingsOf(dockerfile.source), request.onFinding);
  checkTree(dockerfile, linter);
  return new DockerfileConverter(request, linter);
}

class DockerfileConverter {
  #request: ConversionRequest;
  readonly #linter: Linter;
  readonly #growth = new GrowthLimit();
  readonly #dockerfile: Dockerfile;
  readonly #targetPlatform: Platform;
  readonly #globalArgs: Map<string, string>;
  readonly #buildArgs: Map<string, string>;
  readonly #declaredArgs = new Map<string, DeclaredArg>();
  /** Arguments that were expanded in each `FROM`. */
  readonly #usedInFrom = new Map<FromInstruction, ReadonlySet<string>>();
  readonly #builder: StageGraphBuilder;
  readonly #bases = new Map<TreeNode, BaseTree>();
  readonly #built = new Map<TreeNode, StageBuilder>();
  /** Known once all paths that are read of it are. */
  #mainContext: State | undefined;

  constructor(request: ConversionRequest, linter: Linter) {
    const { dockerfile, options } = request;
    this.#request = request;
    this.#linter = linter;
    this.#dockerfile = dockerfile;
    this.#buildArgs = new Map(options.buildArgs);
    this.#targetPlatform = request.targetPlatform ?? request.buildPlatform;
    this.#builder = new StageGraphBuilder(dockerfile.source);
    const stage = options.target || (dockerfile.stages.at(-1)!.from.name ?? '');
    const predefined = predefinedArgs(request.buildPlatform, this.#targetPlatform, stage, options.buildArgs);
    this.#checkDefaultImages(predefined);
    this.#globalArgs = globalArgs(dockerfile, predefined, options.buildArgs, (arg) =>
      this.#declaredArgs.set(arg.name, arg),
    );
  }

  async convert(): Promise<Conversion> {
    const { target, context } = await this.#convertStages((wanted) => [wanted]);
    const built = this.#built.get(target)!;
    built.paths.add('/');
    this.#mainContext = await this.#request.inputs.mainContext(context.contextPaths.list);
    return {
      graph: toGraph(built.state, { platform: this.#targetPlatform }),
      image: this.#finalImage(built),
      baseConfig: this.#baseConfig(target),
      epoch: context.epoch,
    };
  }

  async check(): Promise<void> {
    const all = this.#request.options.target === '';
    await this.#convertStages((target, { stages }) => (all ? stages : [target]));
  }

  async outline(): Promise<OutlineInput> {
    const { target } = await this.#convertStages((wanted) => [wanted]);
    return {
      target,
      data: this.#dockerfile.source.data,
      globalArgs: this.#declaredArgs,
      parametersOf: (node) => this.#built.get(node)?.parameters,
    };
  }

  /** Converts the stages that `choose` names, and what they need. */
  async #convertStages(
    choose: (target: TreeNode, graph: StageGraph) => readonly TreeNode[],
  ): Promise<{ readonly target: TreeNode; readonly context: ConversionContext }> {
    const epoch = await this.#resolveEpoch();
    const graph = this.#builder.build(
      this.#dockerfile.stages,
      (word, from) => this.#expandFrom(word, from),
      (name, platform) => this.#request.inputs.namedContexts.has(name, platform ?? this.#targetPlatform),
    );
    const target = this.#findTarget(graph);
    const context = await this.#context(epoch);
    const reached = await this.#resolveBases(graph, choose(target, graph), context);
    for (const node of graph.stages) if (reached.has(node)) this.#convertStage(graph, node, context);
    this.#linter.throwIfFailed(this.#dockerfile.source);
    return { target, context };
  }

  async #context(epoch: number | undefined): Promise<ConversionContext> {
    const { options, inputs } = this.#request;
    const patterns = await inputs.ignorePatterns();
    const decidable = patterns.length > 0 && !patterns.some((pattern) => pattern.startsWith('!'));
    return {
      options,
      buildArgs: this.#buildArgs,
      words: this.#dockerfile.words,
      file: this.#dockerfile.source,
      globalArgs: variablesOf(this.#globalArgs),
      targetPlatform: this.#targetPlatform,
      epoch,
      proxyEnv: proxyEnvOf(options.buildArgs),
      growth: this.#growth,
      linter: this.#linter,
      buildContext: State.late(() => this.#mainContext!),
      contextPaths: new PathSet(),
      ignored: decidable
        ? {
            matcher: new PatternMatcher(patterns),
            excludesAll: patterns.some((pattern) => ['*', '**', '**/*'].includes(pattern)),
          }
        : undefined,
    };
  }

  /** Puts the number into the place of what stands for it, so that steps see it too. */
  async #resolveEpoch(): Promise<number | undefined> {
    const { dockerfile, inputs, bridge, signal } = this.#request;
    const given = this.#buildArgs.get(epochName);
    const value = given ?? (this.#globalArgs.get(epochName) || undefined);
    if (value === undefined) return undefined;
    const context = { dockerfile, inputs, bridge, signal, platform: this.#targetPlatform };
    const args = { buildArgs: this.#buildArgs, globalArgs: this.#globalArgs };
    const epoch = await resolveEpoch(value, { ...context, ...args }).catch((error: unknown) => {
      const declared = given === undefined ? this.#declaredArgs.get(epochName) : undefined;
      throw declared ? atSource(error, dockerfile.source, [declared.range]) : error;
    });
    for (const args of [this.#buildArgs, this.#globalArgs]) {
      if (epoch === undefined) args.delete(epochName);
      else if (args.has(epochName)) args.set(epochName, String(epoch));
    }
    return epoch;
  }

  #findTarget(graph: StageGraph): TreeNode {
    const { target } = this.#request.options;
    if (target === '') return graph.stages.at(-1)!;
    const found = this.#builder.find(target);
    if (found) return found;
    throw new KilnError(
      'not_found',
      `target stage ${JSON.stringify(target)} could not be found${didYouMean(target, this.#builder.names)}`,
    );
  }

  /** Base images, all at once; again for the trees that triggers of a base image bring in. */
  async #resolveBases(
    graph: StageGraph,
    wanted: readonly TreeNode[],
    context: ConversionContext,
  ): Promise<ReadonlySet<TreeNode>> {
    const triggered = new Set<TreeNode>();
    for (;;) {
      const reached = new Set(wanted.flatMap((node) => [...reachableFrom(node)]));
      const pending = [...reached].filter((node) => !node.base && !this.#bases.has(node));
      await Promise.all(
        pending.map(async (node) => this.#bases.set(node, await this.#resolveBase(graph, node, context))),
      );
      const fresh = [...reached].filter((node) => node.stage && !triggered.has(node));
      for (const node of fresh) {
        triggered.add(node);
        this.#addTriggers(node);
      }
      this.#builder.checkCycles();
      if (fresh.length === 0 && pending.length === 0) return reached;
    }
  }

  async #resolveBase(graph: StageGraph, node: TreeNode, context: ConversionContext): Promise<BaseTree> {
    const { inputs, images, buildPlatform } = this.#request;
    try {
      return await resolveBaseTree(node, {
        context,
        inputs,
        images,
        buildPlatform,
        display: { name: displayNameOf(graph, node), steps: stepsOf(node) },
        stageNames: this.#builder.names,
      });
    } catch (error) {
      throw atSource(error, this.#dockerfile.source, [node.range]);
    }
  }

  /** What the base says is to be done first in every stage that starts from it. */
  #addTriggers(node: TreeNode): void {
    const expressions = node.base
      ? node.base.commands.flatMap(({ instruction }) =>
          instruction.kind === 'onbuild' ? [instruction.expression] : [],
        )
      : node.replaced
        ? []
        : (this.#bases.get(node)?.image.config.OnBuild ?? []);
    if (expressions.length === 0) return;
    const { source } = this.#dockerfile;
    const commands = expressions.map((expression) =>
      this.#builder.command(parseTrigger(expression, source, node.range), true),
    );
    this.#builder.prepend(node, commands);
  }

  #convertStage(graph: StageGraph, node: TreeNode, context: ConversionContext): void {
    const steps = stepsOf(node);
    const usedInFrom = (node.stage && this.#usedInFrom.get(node.stage.from)) ?? new Set();
    const stage = new StageBuilder(node, context, this.#start(node), usedInFrom, {
      name: displayNameOf(graph, node),
      steps,
      step: startsFromImage(node) ? 1 : 0,
    });
    this.#built.set(node, stage);
    for (const command of node.commands) this.#convertCommand(stage, command);
  }

  #convertCommand(stage: StageBuilder, command: Command): void {
    try {
      convertInstruction(stage, command, (node) => this.#treeOf(node));
    } catch (error) {
      throw atSource(error, this.#dockerfile.source, [command.instruction.range]);
    }
  }

  #treeOf(node: TreeNode): { readonly tree: State; readonly paths: PathSet } | undefined {
    const stage = this.#built.get(node);
    if (stage) return { tree: stage.state, paths: stage.paths };
    const base = node.stage ? undefined : this.#bases.get(node);
    return base && { tree: base.tree, paths: base.paths };
  }

  #start(node: TreeNode): StageStart {
    if (node.base) return this.#built.get(node.base)!.result;
    const base = this.#bases.get(node)!;
    return {
      tree: base.tree,
      image: withConfig(base.image, { OnBuild: undefined }),
      platform: base.platform,
      paths: base.paths,
      args: [],
      workdirSet: false,
    };
  }

  #finalImage(stage: StageBuilder): ImageDraft {
    const { options, targetPlatform } = this.#request;
    const { draft } = stage.image;
    const image = withConfig(draft, { Labels: { ...draft.config.Labels, ...options.labels } });
    if (!targetPlatform) return image;
    const same =
      image.platform.os === targetPlatform.os && image.platform.architecture === targetPlatform.architecture;
    return { ...image, platform: same ? { ...image.platform, ...targetPlatform } : targetPlatform };
  }

  #baseConfig(target: TreeNode): Uint8Array | undefined {
    let node = target;
    while (node.base) node = node.base;
    return this.#bases.get(node)?.config;
  }

  #expandFrom(word: string, from: FromInstruction) {
    const variables = this.#growth.count(variablesOf(this.#globalArgs));
    const linter = this.#linter.for(from.comments);
    const expansion = (() => {
      try {
        return expandWord(this.#dockerfile.words.get(word), variables, {
          locate: locateIn(word, from.places, this.#dockerfile.source),
        });
      } catch (error) {
        throw atSource(error, this.#dockerfile.source, [from.range]);
      }
    })();
    this.#usedInFrom.set(from, new Set([...(this.#usedInFrom.get(from) ?? []), ...expansion.matched]));
    const declared = this.#declaredNames();
    for (const name of expansion.unmatched) {
      if (declared.has(name)) continue;
      const match = nearest(name, declared);
      const hint = match === undefined ? '' : ` (did you mean ${match}?)`;
      linter.report(
        lintRules.undefinedArgInFrom,
        from.range,
        `FROM argument '${name}' is not declared${hint}`,
      );
    }
    if (word === from.flags.platform) this.#checkPlatformFlag(word, from, expansion, variables, linter);
    const suggestions = [...expansion.unmatched].map((name) => didYouMean(name, this.#globalArgs.keys()));
    return { ...expansion, suggestion: suggestions.find(Boolean) ?? '' };
  }

  #declaredNames(): ReadonlySet<string> {
    const declared = this.#dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name));
    return new Set([...this.#globalArgs.keys(), ...declared]);
  }

  #checkPlatformFlag(
    word: string,
    { range, name = '' }: FromInstruction,
    { text, matched, unmatched }: Expansion,
    variables: Variables,
    linter: Linter,
  ): void {
    if (matched.size === 1 && unmatched.size === 0 && text === variables.get('TARGETPLATFORM')) {
      if (matched.has('TARGETPLATFORM')) {
        linter.report(
          lintRules.redundantTargetPlatform,
          range,
          `Setting platform to predefined ${word} in FROM is redundant as this is the default behavior`,
        );
      }
      return;
    }
    if (matched.size > 0 || unmatched.size > 0) return;
    let platform: Platform;
    try {
      platform = parsePlatform(text);
    } catch {
      return;
    }
    // A name that says for what the stage is shows that the constant is meant.
    if (name.includes(platform.os) || name.includes(platform.architecture)) return;
    linter.report(
      lintRules.fromPlatformFlagConstDisallowed,
      range,
      `FROM --platform flag should not use constant value ${JSON.stringify(text)}`,
    );
  }

  /** Warns where a base image would have no valid name if the client gave no arguments. */
  #checkDefaultImages(predefined: ReadonlyMap<string, string>): void {
    let variables: Variables;
    try {
      variables = variablesOf(globalArgs(this.#dockerfile, predefined, new Map()));
    } catch {
      return;
    }
    for (const { from } of this.#dockerfile.stages) {
      let text: string;
      try {
        text = expandWord(this.#dockerfile.words.get(from.image), variables).text;
      } catch {
        return;
      }
      try {
        parseReference(text);
      } catch {
        this.#linter
          .for(from.comments)
          .report(
            lintRules.invalidDefaultArgInFrom,
            from.range,
            `Default value for ARG ${from.image} results in empty or invalid base image name`,
          );
      }
    }
  }
}

/** The name of a stage in displays: none where there is only the one. */
function displayNameOf(graph: StageGraph, node: TreeNode): string {
  return graph.stages.length === 1 && !graph.readsOthers ? '' : node.name;
}

function startsFromImage(node: TreeNode): boolean {
  return node.stage !== undefined && !node.base && node.baseName !== 'scratch';
}

const steps: ReadonlySet<Instruction['kind']> = new Set(['add', 'copy', 'run', 'workdir']);

function stepsOf(node: TreeNode): number {
  const own = node.commands.filter(({ instruction }) => steps.has(instruction.kind)).length;
  return own + (startsFromImage(node) ? 1 : 0);
}
