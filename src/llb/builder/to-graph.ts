import { randomUUID } from 'node:crypto';
import { type Digest, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { hostPlatform, type Platform } from '../../base/platform.ts';
import type { OpGraph, OpVertex } from '../graph.ts';
import type { Input, Op, OpMetadata, SourceFile } from '../op.ts';
import { marshalOp } from '../wire/marshal-op.ts';
import { EnvLists } from './env-lists.ts';
import type { SourceLocation } from './source-location.ts';
import type { State } from './state.ts';
import { fixedOutput, type InputNames, type Output, type Vertex, type VertexOptions } from './vertex.ts';

/** What holds for every vertex of a graph, besides what is said about it. Graphs that were there already stay as they are. */
export type GraphDefaults = Pick<
  VertexOptions,
  'constraints' | 'description' | 'exportCache' | 'ignoreCache' | 'progressGroup'
>;

export interface GraphOptions extends GraphDefaults {
  /** The platform of vertices that name none; by default this machine's. */
  readonly platform?: Platform;
  /** Distinguishes local sources that name no session from those of other clients; random by default. */
  readonly localUniqueId?: string;
}

/**
 * The graph of a tree and all that it is made of, as typed data. Throws `resource_exhausted` when its ops are too large together.
 *
 * @example
 * ```ts
 * import { image, toGraph } from 'kiln/llb';
 *
 * const { vertices } = toGraph(image('alpine').run('true').root, { constraints: ['label==gpu'] });
 * for (const { op } of vertices.values()) assert.deepEqual(op.constraints, ['label==gpu']);
 * ```
 */
export function toGraph(state: State, options: GraphOptions = {}): OpGraph {
  const builder = new GraphBuilder({
    ...options,
    platform: options.platform ?? hostPlatform(),
    localUniqueId: options.localUniqueId ?? randomUUID(),
  });
  return builder.build(state.output);
}

/**
 * Bytes of all ops together. Each step has the variables that were set before it, so a megabyte of lines could ask for
 * many gigabytes.
 */
const largestGraph = 256 * 1024 * 1024;

type Location = { readonly file: number; readonly ranges: SourceLocation['ranges'] };

type GraphNames = Required<Pick<GraphOptions, 'platform' | 'localUniqueId'>>;

class GraphBuilder implements InputNames {
  readonly platform: Platform;
  readonly localUniqueId: string;
  #size = 0;
  readonly #envs = new EnvLists();
  readonly #names = new Map<Vertex, Digest>();
  readonly #vertices = new Map<Digest, OpVertex>();
  readonly #files: SourceFile[] = [];
  /** Places in `#files`, by object and by content: graphs that are put together say the same file with objects of their own. */
  readonly #fileNumbers = new Map<SourceFile, number>();
  readonly #numbersByContent = new Map<string, number>();
  readonly #locations = new Map<Digest, Location[]>();

  readonly #defaults: GraphDefaults;

  constructor({ platform, localUniqueId, ...defaults }: GraphNames & GraphDefaults) {
    this.platform = platform;
    this.localUniqueId = localUniqueId;
    this.#defaults = defaults;
  }

  build(output: Output | undefined): OpGraph {
    const result = fixedOutput(output);
    if (!result) return { vertices: new Map(), result: undefined };
    this.#addAll(result.vertex);
    return {
      vertices: this.#vertices,
      result: this.input(result),
      source: { files: this.#files, locations: this.#locations },
    };
  }

  input(output: Output | undefined): Input | undefined {
    const fixed = fixedOutput(output);
    return fixed && { digest: this.#names.get(fixed.vertex)!, index: fixed.index };
  }

  env(variables: ReadonlyMap<string, string>): readonly string[] {
    return this.#envs.listOf(variables);
  }

  /** Inputs first, without recursion: a chain of steps can be longer than the stack is deep. */
  #addAll(last: Vertex): void {
    const entered = new Set<Vertex>();
    const stack: Vertex[] = [last];
    while (stack.length > 0) {
      const vertex = stack.at(-1)!;
      if (this.#names.has(vertex)) stack.pop();
      else if (vertex.kind === 'graph') this.#addGraph(vertex);
      else if (entered.has(vertex)) this.#addOp(vertex);
      else {
        entered.add(vertex);
        for (const input of vertex.inputs.toReversed()) {
          const fixed = fixedOutput(input);
          if (fixed && !this.#names.has(fixed.vertex)) stack.push(fixed.vertex);
        }
      }
    }
  }

  #addOp(vertex: Vertex & { kind: 'op' }): void {
    const op = withConstraints(vertex.build(this), this.#defaults);
    const bytes = marshalOp(op);
    this.#size += bytes.length;
    if (this.#size > largestGraph) {
      throw new KilnError(
        'resource_exhausted',
        `the definition of the build is larger than ${largestGraph} bytes: its steps have too much in their environment`,
      );
    }
    const digest = digestOf(bytes);
    this.#names.set(vertex, digest);
    this.#add({ digest, op, bytes, metadata: withDefaults(vertex.metadata, this.#defaults) });
    for (const { file, ranges } of vertex.locations) this.#locate(digest, file, ranges);
  }

  #addGraph(vertex: Vertex & { kind: 'graph' }): void {
    const { graph, result } = vertex;
    this.#names.set(vertex, result.digest);
    for (const each of graph.vertices.values()) this.#add(each);
    for (const [digest, locations] of graph.source?.locations ?? []) {
      for (const { file, ranges } of locations) {
        const found = graph.source?.files[file];
        if (found) this.#locate(digest, found, ranges);
      }
    }
  }

  /** Vertices that are equal are one vertex: what is said about either of them holds. */
  #add(vertex: OpVertex): void {
    const { digest, metadata } = vertex;
    const known = this.#vertices.get(digest);
    this.#vertices.set(
      digest,
      known
        ? {
            ...known,
            metadata: {
              ...known.metadata,
              ...metadata,
              ignoreCache: known.metadata.ignoreCache || metadata.ignoreCache,
              description: { ...known.metadata.description, ...metadata.description },
              caps: { ...known.metadata.caps, ...metadata.caps },
            },
          }
        : vertex,
    );
  }

  #locate(digest: Digest, file: SourceFile, ranges: Location['ranges']): void {
    const list = this.#locations.get(digest) ?? [];
    list.push({ file: this.#numberOf(file), ranges });
    this.#locations.set(digest, list);
  }

  #numberOf(file: SourceFile): number {
    let number = this.#fileNumbers.get(file);
    if (number !== undefined) return number;
    const content = JSON.stringify([file.filename, file.language, digestOf(file.data)]);
    number = this.#numbersByContent.get(content) ?? this.#files.push(file) - 1;
    this.#numbersByContent.set(content, number);
    this.#fileNumbers.set(file, number);
    return number;
  }
}

function withConstraints(op: Op, { constraints = [] }: GraphDefaults): Op {
  return constraints.length === 0 ? op : { ...op, constraints: [...constraints, ...(op.constraints ?? [])] };
}

function withDefaults(metadata: OpMetadata, defaults: GraphDefaults): OpMetadata {
  const { description, exportCache, ignoreCache, progressGroup } = defaults;
  return {
    ...(exportCache !== undefined && { exportCache }),
    ...(progressGroup && { progressGroup }),
    ...metadata,
    ignoreCache: metadata.ignoreCache || (ignoreCache ?? false),
    description: description ? { ...description, ...metadata.description } : metadata.description,
  };
}
