import { asKilnError, KilnError, type Range } from '../../../../base/errors.ts';
import { type Platform, parsePlatform } from '../../../../base/platform.ts';
import { atFlag, atSource, type DockerfileSource, dockerfileError, linesOf } from '../../dockerfile-error.ts';
import type { Instruction, Stage } from '../../parse/instruction-tree.ts';
import { type MountFlag, parseMountFlag } from '../values/mount-flag.ts';
import type { FromWords } from './from-words.ts';

/** A tree that steps start from or read: a stage, or an image (or named context) that an instruction names. */
export interface TreeNode {
  /** Undefined for what is not a stage of the file. */
  readonly stage: Stage | undefined;
  /** As displays call it. */
  readonly name: string;
  /** What it starts from: an image's name, `scratch`, or a stage's. Expanded. */
  readonly baseName: string;
  readonly base: TreeNode | undefined;
  /** What `FROM --platform` says. */
  readonly platform: Platform | undefined;
  readonly range: Range;
  /** Whether a named context stands in the place of the stage, whose instructions are then left out. */
  readonly replaced: boolean;
  readonly commands: readonly Command[];
}

/** An instruction and the trees it reads besides its own. */
export interface Command {
  readonly instruction: Instruction;
  /** For `COPY`, the tree of `--from`; for `RUN`, that of each mount. Undefined where none is named. */
  readonly sources: readonly (TreeNode | undefined)[];
  /** The mounts of a `RUN`. */
  readonly mounts: readonly MountFlag[];
  /** Whether the base image brought it. */
  readonly onbuild: boolean;
}

export interface StageGraph {
  readonly stages: readonly TreeNode[];
  /** Whether an instruction reads from a tree that is not its own stage's, or has a mount. */
  readonly readsOthers: boolean;
}

/** Whether the client gave another tree in the place of a stage. */
export type IsReplaced = (stage: string, platform: Platform | undefined) => boolean;

type MutableNode = { -readonly [Key in keyof TreeNode]: TreeNode[Key] };

/** Resolves stage names: who starts from whom, who reads from whom. Pure; throws `invalid_argument` with the place. */
export class StageGraphBuilder {
  readonly #source: DockerfileSource;
  readonly #nodes: MutableNode[] = [];
  readonly #names: string[] = [];
  /** Later stages of the same name win. */
  readonly #byName = new Map<string, MutableNode>();
  readonly #external = new Map<string, TreeNode>();

  constructor(source: DockerfileSource) {
    this.#source = source;
  }

  build(stages: readonly Stage[], words: Pick<FromWords, 'expand'>, isReplaced: IsReplaced): StageGraph {
    for (const [index, stage] of stages.entries()) this.#addStage(stage, index, words, isReplaced);
    let readsOthers = false;
    for (const node of this.#nodes) {
      if (node.replaced) continue;
      node.commands = node.stage!.instructions.map((instruction) => this.command(instruction, false));
      readsOthers ||= node.commands.some(({ sources }) => sources.length > 0);
    }
    this.checkCycles();
    return { stages: this.#nodes, readsOthers };
  }

  /** Names that a stage can be referred to by. */
  get names(): readonly string[] {
    return this.#names;
  }

  find(name: string): TreeNode | undefined {
    return this.#byName.get(name.toLowerCase());
  }

  /** An instruction with the trees it names; also for triggers that a base image brings. */
  command(instruction: Instruction, onbuild: boolean): Command {
    try {
      const mounts = this.#mounts(instruction);
      return { instruction, onbuild, sources: this.#sources(instruction, mounts), mounts };
    } catch (error) {
      throw atSource(error, this.#source, [instruction.range]);
    }
  }

  /** Puts triggers of the base before the stage's own instructions. */
  prepend(node: TreeNode, commands: readonly Command[]): void {
    const mutable = node as MutableNode;
    mutable.commands = [...commands, ...mutable.commands];
  }

  checkCycles(): void {
    const done = new Set<TreeNode>();
    for (const first of this.#nodes) {
      /** From the first stage to the present one. Not on the stack: there may be very many stages. */
      const trail = [visitOf(first)];
      const onTrail = new Set<TreeNode>([first]);
      for (let at = trail.at(-1); at; at = trail.at(-1)) {
        const next = done.has(at.node) ? undefined : at.next();
        if (!next) {
          done.add(at.node);
          onTrail.delete(at.node);
          trail.pop();
        } else if (onTrail.has(next)) {
          const circle = trail.slice(trail.findIndex(({ node }) => node === next));
          throw new KilnError('invalid_argument', `circular dependency detected on stage: ${next.name}`, {
            details: [
              { kind: 'source', ...this.#source, ranges: circle.flatMap(({ place }) => linesOf(place)) },
            ],
          });
        } else if (!done.has(next)) {
          trail.push(visitOf(next));
          onTrail.add(next);
        }
      }
    }
  }

  #addStage(stage: Stage, index: number, words: Pick<FromWords, 'expand'>, isReplaced: IsReplaced): void {
    const { from } = stage;
    const fail = (message: string) => dockerfileError(this.#source, from.range, message);
    const image = words.expand(from.image, from);
    if (image.text === '') throw fail(`base name (${from.image}) should not be blank`);
    const node: MutableNode = {
      stage,
      name: from.name ?? `stage-${index}`,
      baseName: image.text,
      base: this.#byName.get(image.text.toLowerCase()),
      platform: undefined,
      range: from.range,
      replaced: false,
      commands: [],
    };
    const { platform } = from.flags;
    if (platform) {
      const { text, suggestion } = words.expand(platform, from);
      if (text === '') throw fail(`empty platform value from expression ${platform}${suggestion}`);
      try {
        node.platform = parsePlatform(text);
      } catch (cause) {
        const { message, hint } = asKilnError(cause);
        throw dockerfileError(
          this.#source,
          from.range,
          `failed to parse platform ${platform}: ${message}${suggestion}`,
          { hint, cause },
        );
      }
    }
    if (from.name !== undefined && isReplaced(from.name, node.platform)) {
      node.replaced = true;
      node.base = undefined;
    }
    this.#nodes.push(node);
    this.#names.push(node.name);
    if (from.name !== undefined) this.#byName.set(from.name, node);
  }

  #mounts(instruction: Instruction): readonly MountFlag[] {
    if (instruction.kind !== 'run') return [];
    return (instruction.flags.mount ?? []).map((mount, at) =>
      atFlag(instruction, 'mount', at, this.#source, () => parseMountFlag(mount)),
    );
  }

  #sources(instruction: Instruction, mounts: readonly MountFlag[]): readonly (TreeNode | undefined)[] {
    switch (instruction.kind) {
      case 'copy': {
        const { from } = instruction.flags;
        if (!from) return [];
        const place = instruction.flagRanges.get('from')?.[0] ?? instruction.range;
        if (/\$[\w{]/.test(from)) {
          throw dockerfileError(
            this.#source,
            place,
            'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround',
          );
        }
        return [this.#tree(from, place, true)];
      }
      case 'run':
        return mounts.map(({ from }, at) => {
          const place = instruction.flagRanges.get('mount')?.[at] ?? instruction.range;
          return from === '' ? undefined : this.#tree(from, place, false);
        });
      default:
        return [];
    }
  }

  #tree(name: string, range: Range, byIndex: boolean): TreeNode {
    if (byIndex && /^[+-]?\d+$/.test(name)) {
      const node = this.#nodes[Number(name)];
      if (node) return node;
      throw dockerfileError(this.#source, range, `invalid stage index ${name}`, {
        hint: `the stages are numbered 0 to ${this.#nodes.length - 1}`,
      });
    }
    const stage = this.find(name);
    if (stage) return stage;
    const known = this.#external.get(name);
    if (known) return known;
    const node: TreeNode = {
      stage: undefined,
      name: '',
      baseName: name,
      base: undefined,
      platform: undefined,
      range,
      replaced: false,
      commands: [],
    };
    this.#external.set(name, node);
    return node;
  }
}

/** The trees that a tree directly needs, and where it names them. */
function* dependencies(node: TreeNode): Generator<{ readonly tree: TreeNode; readonly range: Range }> {
  if (node.base) yield { tree: node.base, range: node.range };
  for (const { instruction, sources } of node.commands) {
    for (const tree of sources) if (tree) yield { tree, range: instruction.range };
  }
}

/** A tree, and the position among the trees that it needs. */
interface Visit {
  readonly node: TreeNode;
  /** Where it names the tree that `next` returned last. */
  readonly place: Range;
  next(): TreeNode | undefined;
}

function visitOf(node: TreeNode): Visit {
  const rest = dependencies(node);
  let place = node.range;
  return {
    node,
    get place() {
      return place;
    },
    next() {
      const { value } = rest.next();
      if (!value) return undefined;
      place = value.range;
      return value.tree;
    },
  };
}

/** `target` and every tree that it needs. */
export function reachableFrom(target: TreeNode): ReadonlySet<TreeNode> {
  const reached = new Set<TreeNode>([target]);
  for (const node of reached) for (const { tree } of dependencies(node)) reached.add(tree);
  return reached;
}
