import { abortable } from '../base/async/lifetime.ts';
import type { TaskContext } from '../base/threads/task.ts';
import { WarningSources } from '../base/warning-sources.ts';
import type {
  NumberedResult,
  NumberedTree,
  Question,
  Questions,
  ThreadRequest,
  ThreadResult,
  ThreadWarning,
} from './bridge-questions.ts';
import type { Bridge, Frontend, FrontendResult, SolvedRef } from './frontend.ts';
import { packGraph } from './packed-graph.ts';
import { withTrees } from './result-attestation.ts';

export type FrontendContext = TaskContext<ThreadWarning, Question, unknown>;

/** Runs a frontend in the calling thread, with a bridge that asks the one outside. */
export async function runInThisThread(
  frontend: Frontend,
  { workers, ...request }: ThreadRequest,
  context: FrontendContext,
): Promise<ThreadResult> {
  const numbers = new Map<SolvedRef, number>();
  const bridge = bridgeFrom(workers, context, numbers);
  const { refs, metadata, attestations } = await frontend.solve(bridge, request, context.signal);
  return {
    refs: new Map([...refs].map(([key, ref]) => [key, ref && numbers.get(ref)])),
    metadata,
    attestations: withTrees(attestations, (ref) => numbers.get(ref)!),
  };
}

function bridgeFrom(
  workers: ThreadRequest['workers'],
  context: FrontendContext,
  numbers: Map<SolvedRef, number>,
): Bridge {
  const ask = <Kind extends keyof Questions>(kind: Kind, asks: Questions[Kind]['asks']) =>
    context.ask({ kind, ...asks } as Question) as Promise<Questions[Kind]['answer']>;

  const treeOf = ({ number, id }: NumberedTree): SolvedRef => {
    const tree: SolvedRef = {
      id,
      evaluate: (signal) => abortable(ask('evaluate', { tree: number }), signal),
      readFile: (path, range, signal) => abortable(ask('readFile', { tree: number, path, range }), signal),
      readDir: (path, includePattern, signal) =>
        abortable(ask('readDir', { tree: number, path, includePattern }), signal),
      statFile: (path, signal) => abortable(ask('statFile', { tree: number, path }), signal),
    };
    numbers.set(tree, number);
    return tree;
  };
  const resultOf = ({ refs, metadata, attestations }: NumberedResult): FrontendResult => ({
    refs: new Map([...refs].map(([key, ref]) => [key, ref && treeOf(ref)])),
    metadata,
    attestations: withTrees(attestations, treeOf),
  });

  const sources = new WarningSources();
  return {
    workers,
    resolveImageConfig: (ref, options) => ask('resolveImageConfig', { ref, options }),
    sourceTime: (source, logName) => ask('sourceTime', { source, logName }),
    solve: async ({ graph, ...request }) =>
      resultOf(await ask('solve', { request, graph: graph && packGraph(graph) })),
    warn: (vertex, warning) => context.emit({ vertex, warning: sources.admit(warning) }),
  };
}
