import path from 'node:path';
import type { Transport } from '@connectrpc/connect';
import { type Solve, solve } from '../../src/client/solve.ts';
import { emptySolve, type SolveRequest } from '../../src/client/solve-request.ts';
import { type InProcessEngine, openInProcessEngine } from '../../src/daemon/in-process.ts';
import { ociLayout, type State, toDefinition } from '../../src/llb/llb.ts';
import { createServiceHost, type Service } from '../../src/session/service-host.ts';
import { baseLayout } from './base-layout.ts';
import { WorkDirectory } from './work-directory.ts';

/** Builds LLB as it is, without a frontend, on an engine in this process. */
export class LlbEngine implements AsyncDisposable {
  readonly work: WorkDirectory;
  /** The busybox image. */
  readonly base: State;
  readonly #engine: InProcessEngine;

  private constructor(engine: InProcessEngine, work: WorkDirectory) {
    this.#engine = engine;
    this.work = work;
    this.base = ociLayout(`base@${baseLayout().digest}`, { storeId: 'base' });
  }

  /** `config`: a `buildkitd.toml`. */
  static async open({ config = '' }: { readonly config?: string } = {}): Promise<LlbEngine> {
    const work = new WorkDirectory();
    const configFile = path.join(work.tree({ 'buildkitd.toml': config }), 'buildkitd.toml');
    return new LlbEngine(await openInProcessEngine({ root: work.at('root'), configFile }), work);
  }

  get transport(): Transport {
    return this.#engine.transport;
  }

  /** Opens a session of a client that offers these services. */
  attach(id: string, services: readonly Service[]): Promise<AsyncDisposable> {
    return this.#engine.attachSession(createServiceHost(services), { id, name: '', sharedKey: '' });
  }

  /** Builds a tree, and returns the directory that its files were written to. */
  async build(state: State, request: Partial<SolveRequest> = {}): Promise<string> {
    const directory = this.work.tree({});
    await this.solve(state, {
      outputs: [{ kind: 'directory', exporter: 'local', attributes: {}, path: directory, remove: false }],
      ...request,
    });
    return directory;
  }

  /** Builds a tree for the outputs that the request has; returns what the exporters said. */
  async solve(state: State, request: Partial<SolveRequest> = {}): Promise<Readonly<Record<string, string>>> {
    return (await this.start(state, request).result).response;
  }

  /** Starts to build a tree for the outputs that the request has. */
  start(state: State, request: Partial<SolveRequest> = {}, signal?: AbortSignal): Solve {
    const whole = {
      ...emptySolve,
      source: { kind: 'definition', definition: toDefinition(state) } as const,
      layouts: new Map([['base', baseLayout().directory]]),
      ...request,
    };
    return solve(this.#engine, whole, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
    this.work[Symbol.dispose]();
  }
}
