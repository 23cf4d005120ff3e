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

export type FrontendContext = TaskContext<ThreadWarning, Question, unknown>;

/** Runs a frontend in the thread that this is called in, with a bridge that asks outside. */
export async function runInThisThread(
  frontend: Frontend,
  { workers, ...request }: ThreadRequest,
  context: FrontendContext,
): Promise<ThreadResult> {
  const numbers = new Map<SolvedRef, number>();
  const bridge = bridgeFrom(workers, context, numbers);
  const { refs, metadata } = await frontend.solve(bridge, request, context.signal);
  return {
    refs: new Map([...refs].map(([key, ref]) => [key, ref && numbers.get(ref)])),
    metadata,
  };
}

function bridgeFrom(
  workers: ThreadRequest['workers'],
  context: FrontendContext,
  numbers: Map<SolvedRef, number>,
): Bridge {
  const ask = <Kind extends keyof Questions>(kind: Kind, asks: Questions[Kind]['asks']) =>
    context.ask({ kind, ...asks } as Question) as Promise<Questions[Kind]['answer']>;

  const treeOf = ({ number, id, definition }: NumberedTree, asked: SolvedRef['definition']): SolvedRef => {
    const tree: SolvedRef = {
      id,
      definition: definition === 'asked' ? asked : definition,
      evaluate: (signal) => abortable(ask('evaluate', { tree: number }), signal),
      readFile: (path, range, signal) => abortable(ask('readFile', { tree: number, path, range }), signal),
      readDir: (path, includePattern, signal) =>
        abortable(ask('readDir', { tree: number, path, includePattern }), signal),
      statFile: (path, signal) => abortable(ask('statFile', { tree: number, path }), signal),
    };
    numbers.set(tree, number);
    return tree;
  };
  const resultOf = ({ refs, metadata }: NumberedResult, asked: SolvedRef['definition']): FrontendResult => ({
    refs: new Map([...refs].map(([key, ref]) => [key, ref && treeOf(ref, asked)])),
    metadata,
  });

  const sources = new WarningSources();
  return {
    workers,
    resolveImageConfig: (ref, options) => ask('resolveImageConfig', { ref, options }),
    sourceTime: (source, logName) => ask('sourceTime', { source, logName }),
    solve: async (request) => resultOf(await ask('solve', { request }), request.definition),
    warn: (vertex, warning) => context.emit({ vertex, warning: sources.admit(warning) }),
  };
}
