import { parseDigest } from '../base/digest.ts';
import type { ErrorCode } from '../base/errors.ts';
import { KilnError } from '../base/errors.ts';
import { formatPlatform } from '../base/platform.ts';
import type { Bridge, FileStat, FrontendResult, SolvedRef, WorkerInfo } from '../frontend/frontend.ts';
import { encodeDefinition } from '../llb/wire/definition-wire.ts';
import { marshalGraph } from '../llb/wire/marshal-graph.ts';
import type { ChildMessage, ChildQuestion, NumberedTrees, ParentMessage, StatText } from './messages.ts';

export interface ParentConnection {
  readonly workers: readonly WorkerInfo[];
  readonly sessionId: string;
  send(message: ChildMessage): void;
  /** Whether an answer is waited for. */
  waiting(isWaiting: boolean): void;
}

/** The bridge of a build file: what it asks, the process that started it asks of the daemon. */
export class ParentBridge implements Bridge {
  readonly workers: readonly WorkerInfo[];
  readonly #parent: ParentConnection;
  readonly #pending = new Map<
    number,
    {
      readonly resolve: (answer: unknown) => void;
      readonly reject: (error: Error) => void;
      readonly asked: Error;
    }
  >();
  readonly #numbers = new Map<SolvedRef, number>();
  /** Questions by the errors that answered them. */
  readonly #failed = new WeakMap<Error, number>();
  #asked = 0;

  constructor(parent: ParentConnection) {
    this.#parent = parent;
    this.workers = parent.workers;
  }

  /** An answer to a question. The error of one that failed has the stack of who asked. */
  answered(message: ParentMessage): void {
    const question = this.#pending.get(message.id);
    if (!question) return;
    this.#pending.delete(message.id);
    this.#parent.waiting(this.#pending.size > 0);
    if ('answer' in message) {
      question.resolve(message.answer);
      return;
    }
    const { code, message: text, hint } = message.error;
    const error = new KilnError(code as ErrorCode, text, { hint });
    error.stack = `${error.name}: ${text}\n${question.asked.stack?.split('\n').slice(1).join('\n')}`;
    this.#failed.set(error, message.id);
    question.reject(error);
  }

  /** The question whose answer the error is, or was made of. */
  questionOf(error: unknown): number | undefined {
    let at: unknown = error;
    for (let depth = 0; at instanceof Error && depth < 20; depth++) {
      const question = this.#failed.get(at);
      if (question !== undefined) return question;
      at = at.cause;
    }
    return undefined;
  }

  async resolveImageConfig(...[ref, options]: Parameters<Bridge['resolveImageConfig']>) {
    const { platform, resolveMode, logName = '', ociLayout } = options;
    const answer = await this.#ask<{ ref: string; digest: string; config: string }>({
      kind: 'resolveImageConfig',
      ref,
      platform: formatPlatform(platform),
      resolveMode,
      logName,
      ...(ociLayout && { storeId: ociLayout.storeId }),
    });
    return {
      ref: answer.ref,
      digest: parseDigest(answer.digest),
      config: Buffer.from(answer.config, 'base64'),
    };
  }

  async sourceTime(): Promise<undefined> {
    // Build files have no way to ask for it.
    return undefined;
  }

  async solve({ graph, frontend, options = {}, inputs, evaluate = false }: Parameters<Bridge['solve']>[0]) {
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
    const answer = await this.#ask<NumberedTrees>(
      frontend === undefined
        ? {
            kind: 'solve',
            definition: graph ? text(encodeDefinition(marshalGraph(graph))) : '',
            evaluate,
          }
        : {
            kind: 'call',
            frontend,
            options,
            inputs: [...(inputs ?? [])].map(
              ([name, input]) => [name, text(encodeDefinition(input))] as const,
            ),
          },
    );
    return {
      refs: new Map(answer.refs.map(([key, tree]) => [key, tree === null ? undefined : this.#treeOf(tree)])),
      metadata: new Map(answer.metadata.map(([key, value]) => [key, Buffer.from(value, 'base64')])),
    };
  }

  warn(...[, { short, detail = [], url = '', source, ranges = [] }]: Parameters<Bridge['warn']>): void {
    const data = source && Buffer.from(source.data).toString('base64');
    this.#parent.send({
      kind: 'warn',
      warning: {
        short,
        detail,
        url,
        ...(source && { source: { filename: source.filename, data: data ?? '', ranges } }),
      },
    });
  }

  /** A result by the numbers of its trees. */
  numbered({ refs, metadata }: FrontendResult): NumberedTrees {
    return {
      refs: [...refs].map(([key, ref]) => [key, ref ? (this.#numbers.get(ref) ?? null) : null] as const),
      metadata: [...metadata].map(([key, value]) => [key, Buffer.from(value).toString('base64')] as const),
    };
  }

  #treeOf(tree: number): SolvedRef {
    const ref: SolvedRef = {
      id: String(tree),
      evaluate: async () => void (await this.#ask({ kind: 'evaluate', tree })),
      readFile: async (path, { offset, length } = { offset: 0, length: 0 }) =>
        Buffer.from(await this.#ask<string>({ kind: 'readFile', tree, path, offset, length }), 'base64'),
      readDir: async (path, pattern = '') =>
        (await this.#ask<readonly StatText[]>({ kind: 'readDir', tree, path, pattern })).map(statOf),
      statFile: async (path) => statOf(await this.#ask<StatText>({ kind: 'statFile', tree, path })),
    };
    this.#numbers.set(ref, tree);
    return ref;
  }

  #ask<Answer>(question: ChildQuestion): Promise<Answer> {
    const id = this.#asked++;
    const asked = new Error();
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, asked });
    });
    this.#parent.waiting(true);
    this.#parent.send({ kind: 'ask', id, question });
    return answer as Promise<Answer>;
  }
}

function statOf({ size, modTime, ...stat }: StatText): FileStat {
  return { ...stat, size: BigInt(size), modTime: BigInt(modTime), devmajor: 0n, devminor: 0n, xattrs: {} };
}
