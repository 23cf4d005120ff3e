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

export interface ThreadedFrontendOptions {
  readonly name: string;
  /** The task that runs the frontend: see `thread-bridge.ts`. */
  readonly module: URL;
  readonly threads: ThreadPool;
}

/**
 * A frontend that works in a thread, whatever it is given to read: nobody else waits for it, and it can be ended. What it asks of the
 * engine is asked here.
 */
export function createThreadedFrontend({ name, module, threads }: ThreadedFrontendOptions): Frontend {
  return {
    name,
    async solve(bridge, request, signal) {
      const trees: SolvedRef[] = [];
      const input: ThreadRequest = { ...request, workers: bridge.workers };
      let warnings = 0;
      /** Of the warnings, how many have been heard again. */
      let repeated = 0;
      const { refs, metadata } = await threads.run<
        ThreadRequest,
        ThreadResult,
        ThreadWarning,
        Question,
        unknown
      >(module, input, {
        signal,
        onEvent({ vertex, warning }) {
          if (repeated === warnings) {
            bridge.warn(vertex, warning);
            warnings++;
          }
          repeated++;
        },
        onAsk: (question) => answer(question, bridge, trees, signal),
        onRestart() {
          repeated = 0;
        },
      });
      return {
        refs: new Map([...refs].map(([key, number]) => [key, number === undefined ? number : trees[number]])),
        metadata,
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
    case 'solve': {
      const { request } = question;
      return bridge.solve(request).then((result) => numbered(result, request.definition, trees));
    }
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

function numbered(
  { refs, metadata }: FrontendResult,
  asked: SolvedRef['definition'],
  trees: SolvedRef[],
): NumberedResult {
  const number = (tree: SolvedRef) => ({
    number: trees.push(tree) - 1,
    id: tree.id,
    definition: tree.definition === asked && asked !== undefined ? ('asked' as const) : tree.definition,
  });
  return { refs: new Map([...refs].map(([key, tree]) => [key, tree && number(tree)])), metadata };
}
