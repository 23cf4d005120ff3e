import { randomUUID } from 'node:crypto';
import { KilnError } from '../../../base/errors.ts';
import { PatternMatcher } from '../../../base/pattern/pattern.ts';
import type { Platform } from '../../../base/platform.ts';
import { type GraphOptions, type OpGraph, State, toGraph } from '../../../llb/llb.ts';
import type { ScanTargets } from '../../sbom-scanner.ts';
import { atSource } from '../dockerfile-error.ts';
import { GrowthLimit } from '../expand/growth-limit.ts';
import { checkTree } from '../lint/check-tree.ts';
import { Linter, type LintFinding } from '../lint/linter.ts';
import { lintSettingsOf } from '../lint/parse-checked.ts';
import { didYouMean } from '../nearest.ts';
import type { Dockerfile } from '../parse/instruction-tree.ts';
import { parseTrigger } from '../parse/parse-dockerfile.ts';
import type { OutlineInput } from '../subrequest/outline.ts';
import { convertInstruction } from './emit/convert-instruction.ts';
import { scanTargetsOf } from './emit/scan-targets.ts';
import { StageBuilder, type StageStart } from './emit/stage-builder.ts';
import { type BaseTree, resolveBaseTree } from './plan/base-tree.ts';
import type { BuildInputs } from './plan/build-inputs.ts';
import { checkDefaultImages } from './plan/check-default-images.ts';
import { type ConversionContext, PathSet } from './plan/conversion-context.ts';
import { FromWords } from './plan/from-words.ts';
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
import { displayNameOf, startsFromImage, stepsOf } from './plan/stage-steps.ts';
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
  /** The config of the image at the bottom of the stage. */
  readonly baseConfig: Uint8Array | undefined;
  /** `SOURCE_DATE_EPOCH` in seconds. */
  readonly epoch: number | undefined;
  readonly scanTargets: ScanTargets;
  /** Other graphs about the same trees need them, too. */
  readonly graphOptions: GraphOptions;
}

/** Converts the target stage and what it needs. Errors about the file have their place among the details. */
export async function convertDockerfile(request: ConversionRequest): Promise<Conversion> {
  return converterFor(request).convert();
}

/** Makes every check, on all stages unless the client names one. Throws what would make a build fail. */
export async function checkDockerfile(request: ConversionRequest): Promise<void> {
  await converterFor(request).check();
}

/** The arguments, secrets and agents that the target stage takes. Throws what would make a build fail. */
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
  readonly #fromWords: FromWords;
  readonly #builder: StageGraphBuilder;
  readonly #bases = new Map<TreeNode, BaseTree>();
  readonly #built = new Map<TreeNode, StageBuilder>();
  /** Set once all paths that are read of it are known. */
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
    checkDefaultImages(dockerfile, predefined, linter);
    this.#globalArgs = globalArgs(dockerfile, predefined, options.buildArgs, (arg) =>
      this.#declaredArgs.set(arg.name, arg),
    );
    this.#fromWords = new FromWords(dockerfile, this.#globalArgs, this.#growth, linter);
  }

  async convert(): Promise<Conversion> {
    const { target, context, graph } = await this.#convertStages((wanted) => [wanted]);
    const built = this.#built.get(target)!;
    built.paths.add('/');
    this.#mainContext = await this.#request.inputs.mainContext(context.contextPaths.list);
    const graphOptions = { platform: this.#targetPlatform, localUniqueId: randomUUID() };
    const stages = [...this.#built].map(([node, stage]) => ({ name: displayNameOf(graph, node), stage }));
    return {
      graph: toGraph(built.state, graphOptions),
      graphOptions,
      scanTargets: scanTargetsOf(built, stages, context),
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
  ): Promise<{ readonly target: TreeNode; readonly context: ConversionContext; readonly graph: StageGraph }> {
    const epoch = await this.#resolveEpoch();
    const graph = this.#builder.build(this.#dockerfile.stages, this.#fromWords, (name, platform) =>
      this.#request.inputs.namedContexts.has(name, platform ?? this.#targetPlatform),
    );
    const target = this.#findTarget(graph);
    const context = await this.#context(epoch);
    const reached = await this.#resolveBases(graph, choose(target, graph), context);
    for (const node of graph.stages) if (reached.has(node)) this.#convertStage(graph, node, context);
    this.#linter.throwIfFailed(this.#dockerfile.source);
    return { target, context, graph };
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

  /** Replaces what stands for the time by the number of seconds, so that steps see the number, too. */
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

  /** Resolves base images, all at once; and again those of trees that a base image's triggers name. */
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

  /** Puts the triggers of the base before the instructions of the stage. */
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
    const usedInFrom = node.stage ? this.#fromWords.usedIn(node.stage.from) : new Set<string>();
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
}
