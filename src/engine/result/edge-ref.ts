import { randomUUID } from 'node:crypto';
import { abortable } from '../../base/async/lifetime.ts';
import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { FileStat, SolvedRef } from '../../frontend/frontend.ts';
import type { OpGraph } from '../../llb/graph.ts';
import { withSource } from '../../llb/with-source.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { Job, KnownEdge, Operation, OutputKeys } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { BuildEdge } from '../load-graph.ts';
import { type FileRange, readTreeDir, readTreeFile, statTree, type TreeView } from './read-tree.ts';

export interface ServedVertex {
  readonly digest: Digest;
  readonly operation: Operation<ImmutableRef, JobContext>;
  readonly outputs: readonly OutputKeys[];
}

/** An edge of the graph that is solved when somebody asks for its files. It keeps its result until it is disposed, which also ends solving. */
export class EdgeRef implements SolvedRef, AsyncDisposable {
  readonly id = randomUUID();
  readonly graph: OpGraph;
  readonly #edge: BuildEdge;
  readonly #job: Job<ImmutableRef, JobContext>;
  readonly #disposed = new AbortController();
  #result: Promise<ImmutableRef> | undefined;
  #solved = false;

  constructor(graph: OpGraph, edge: BuildEdge, job: Job<ImmutableRef, JobContext>) {
    this.graph = graph;
    this.#edge = edge;
    this.#job = job;
  }

  /** Whether somebody asked for its files and got them. */
  get solved(): boolean {
    return this.#solved;
  }

  /** The vertices that it is solved from, each once and without those above the ones that `skip` names, with what serves them in this build. */
  *operations(skip: (vertex: Digest) => boolean): Iterable<ServedVertex> {
    const open = [this.#edge.vertex];
    for (let vertex = open.pop(); vertex; vertex = open.pop()) {
      if (skip(vertex.digest)) continue;
      yield {
        digest: vertex.digest,
        operation: this.#job.operationOf(vertex),
        outputs: this.#job.keysOf(vertex),
      };
      for (const input of vertex.inputs) open.push(input.vertex);
    }
  }

  /** The tree, which this ref owns: it lives until the ref is disposed. A caller that gives up waiting does not stop the others. */
  result(signal?: AbortSignal): Promise<ImmutableRef> {
    this.#result ??= this.#job.build(this.#edge, this.#disposed.signal).then(
      ({ result }) => {
        this.#solved = true;
        return result;
      },
      (error) => {
        this.#result = undefined;
        throw withSource(error, this.graph);
      },
    );
    return abortable(this.#result, signal);
  }

  /** How the result is known, and all that it depends on. */
  async known(signal?: AbortSignal): Promise<readonly KnownEdge<ImmutableRef>[]> {
    await this.result(signal);
    return await this.#job.known(this.#edge);
  }

  async evaluate(signal?: AbortSignal): Promise<void> {
    await this.result(signal);
  }

  async readFile(path: string, range?: FileRange, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#view(signal, (view) => readTreeFile(view, path, range, signal));
  }

  async readDir(path: string, includePattern?: string, signal?: AbortSignal): Promise<readonly FileStat[]> {
    return this.#view(signal, (view) => readTreeDir(view, path, includePattern));
  }

  async statFile(path: string, signal?: AbortSignal): Promise<FileStat> {
    return this.#view(signal, (view) => statTree(view, path));
  }

  async #view<T>(signal: AbortSignal | undefined, read: (view: TreeView) => Promise<T>): Promise<T> {
    const ref = await this.result(signal);
    await using view = await ref.mountPartly({ signal });
    return await read(view);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort(new KilnError('canceled', 'the result is not needed any more'));
    const result = await this.#result?.catch(() => undefined);
    this.#result = undefined;
    await result?.release();
  }
}
