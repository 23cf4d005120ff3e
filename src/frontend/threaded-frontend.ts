import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type {
  NumberedResult,
  Question,
  Questions,
  ThreadRequest,
  ThreadResult,
  ThreadWarning,
} from './bridge-questions.ts';
import type { Bridge, Frontend, FrontendResult, SolvedRef } from './frontend.ts';
import { unpackGraph } from './packed-graph.ts';
import { withTrees } from './result-attestation.ts';

export interface ThreadedFrontendOptions {
  readonly name: string;
  /** The task that runs the frontend: see `thread-bridge.ts`. */
  readonly module: URL;
  readonly threads: ThreadPool;
}

/**
 * A frontend that works in a thread: whatever it is given to read, nobody else waits for it, and it can be ended. Its questions are
 * put to the bridge in the calling thread.
 */
export function createThreadedFrontend({ name, module, threads }: ThreadedFrontendOptions): Frontend {
  return {
    name,
    async solve(bridge, request, signal) {
      const trees: SolvedRef[] = [];
      const input: ThreadRequest = { ...request, workers: bridge.workers };
      /** Warnings that the bridge has been given. */
      let warned = 0;
      /** Warnings of the frontend since it last began. One that begins anew repeats those before. */
      let heard = 0;
      const { refs, metadata, attestations } = await threads.run<
        ThreadRequest,
        ThreadResult,
        ThreadWarning,
        Question,
        unknown
      >(module, input, {
        signal,
        onEvent({ vertex, warning }) {
          heard++;
          if (heard <= warned) return;
          bridge.warn(vertex, warning);
          warned = heard;
        },
        onAsk: (question) => answer(question, bridge, trees, signal),
        onRestart() {
          heard = 0;
        },
      });
      return {
        refs: new Map([...refs].map(([key, number]) => [key, number === undefined ? number : trees[number]])),
        metadata,
        attestations: withTrees(attestations, (number) => trees[number]!),
      };
    },
  };
}

function answer(
  question: Question,
  bridge: Bridge,
  trees: SolvedRef[],
  signal: AbortSignal,
): Promise<Questions[keyof Questions]['answer']> {
  switch (question.kind) {
    case 'resolveImageConfig':
      return bridge.resolveImageConfig(question.ref, question.options);
    case 'sourceTime':
      return bridge.sourceTime(question.source, question.logName);
    case 'solve':
      return solve(question, bridge, trees);
    case 'evaluate':
      return trees[question.tree]!.evaluate(signal).then(() => undefined);
    case 'readFile':
      return trees[question.tree]!.readFile(question.path, question.range, signal);
    case 'readDir':
      return trees[question.tree]!.readDir(question.path, question.includePattern, signal);
    case 'statFile':
      return trees[question.tree]!.statFile(question.path, signal);
  }
}

async function solve(
  { request, graph }: Questions['solve']['asks'],
  bridge: Bridge,
  trees: SolvedRef[],
): Promise<NumberedResult> {
  return numbered(await bridge.solve({ ...request, graph: graph && (await unpackGraph(graph)) }), trees);
}

function numbered({ refs, metadata, attestations }: FrontendResult, trees: SolvedRef[]): NumberedResult {
  const number = (tree: SolvedRef) => ({ number: trees.push(tree) - 1, id: tree.id });
  return {
    refs: new Map([...refs].map(([key, tree]) => [key, tree && number(tree)])),
    metadata,
    attestations: withTrees(attestations, number),
  };
}
