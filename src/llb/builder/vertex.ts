import type { LinuxResources } from '../../base/linux-resources.ts';
import type { Platform } from '../../base/platform.ts';
import type { ProgressGroup } from '../../base/progress.ts';
import type { OpGraph } from '../graph.ts';
import type { Input, Op, OpMetadata } from '../op.ts';
import { customNameKey } from '../op-name.ts';
import type { Capability } from '../vertex-capabilities.ts';
import { callerLocations } from './source-lines.ts';
import type { SourceLocation } from './source-location.ts';

/** What can be said about any vertex. */
export interface VertexOptions {
  /** What progress displays call it. */
  readonly name?: string;
  readonly description?: Readonly<Record<string, string>>;
  readonly ignoreCache?: boolean;
  /** Whether its result goes into exported caches; undefined leaves it to the exporter. */
  readonly exportCache?: boolean;
  readonly progressGroup?: ProgressGroup;
  /** Part of the vertex's identity where the platform matters: images and processes. */
  readonly platform?: Platform;
  /** containerd-style filters that a worker must match; part of the vertex's identity. */
  readonly constraints?: readonly string[];
  /** Where it was written; inside of `withSourceLines` the line that made it, by default. */
  readonly locations?: readonly SourceLocation[];
}

/** A node of the graph under construction. Immutable. */
export type Vertex =
  | {
      readonly kind: 'op';
      /** Every output whose name `build` asks for, in the order in which the graph is to hold their ops. */
      readonly inputs: readonly Output[];
      /** Makes the op once its inputs have names. */
      build(names: InputNames): Op;
      readonly metadata: OpMetadata;
      readonly locations: readonly SourceLocation[];
    }
  /** A graph that is there already; its output has the index of the graph's result. */
  | { readonly kind: 'graph'; readonly graph: OpGraph; readonly result: Input };

export interface InputNames {
  /** Undefined for the empty tree. */
  input(output: Output | undefined): Input | undefined;
  /** The variables as `NAME=value`, in order: ops share equal ones. */
  env(variables: ReadonlyMap<string, string>): readonly string[];
  /** The platform of a vertex that says nothing about it. */
  readonly platform: Platform;
  /** Distinguishes local sources that name no session from those of other clients. */
  readonly localUniqueId: string;
}

/** One of a vertex's results. A `late` one is decided when the graph is made. */
export type Output =
  | { readonly kind: 'fixed'; readonly vertex: Vertex; readonly index: number }
  | { readonly kind: 'late'; resolve(): Output | undefined };

/** Follows late outputs to the fixed one; undefined for the empty tree. */
export function fixedOutput(output: Output | undefined): (Output & { kind: 'fixed' }) | undefined {
  let at = output;
  while (at?.kind === 'late') at = at.resolve();
  return at;
}

export function opVertex(
  inputs: readonly (Output | undefined)[],
  options: VertexOptions & { readonly resources?: LinuxResources },
  needs: Iterable<Capability>,
  build: (names: InputNames) => Op,
): Vertex {
  const description = {
    ...options.description,
    ...(options.name !== undefined && { [customNameKey]: options.name }),
  };
  return Object.freeze({
    kind: 'op',
    inputs: Object.freeze(inputs.filter((input) => input !== undefined)),
    build,
    metadata: Object.freeze({
      ignoreCache: options.ignoreCache ?? false,
      description,
      caps: Object.fromEntries([...needs].map((capability) => [capability, true])),
      ...(options.exportCache !== undefined && { exportCache: options.exportCache }),
      ...(options.progressGroup && { progressGroup: options.progressGroup }),
      ...(options.resources && { resources: options.resources }),
    }),
    locations: options.locations ?? callerLocations(),
  });
}

/** The inputs of one op, each once, numbered in the order of their first use. */
export class InputList {
  readonly #names: InputNames;
  readonly #inputs: Input[] = [];
  /** By digest and index. */
  readonly #numbers = new Map<string, number>();

  constructor(names: InputNames) {
    this.#names = names;
  }

  /** The number of the input, or `noIndex` for the empty tree. */
  add(output: Output | undefined): number {
    const input = this.#names.input(output);
    if (!input) return -1;
    const key = `${input.digest} ${input.index}`;
    const number = this.#numbers.get(key) ?? this.#inputs.push(input) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  get list(): readonly Input[] {
    return this.#inputs;
  }
}
