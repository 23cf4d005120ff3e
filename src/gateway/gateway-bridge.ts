import { create } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { toStatus } from '../api/error.ts';
import { LLBBridge, ResultSchema } from '../api/gen/gateway_pb.js';
import type { OpenCall } from '../api/message-stream.ts';
import { platformToMessage } from '../api/platform-message.ts';
import { callUnary } from '../api/unary-call.ts';
import { type Digest, parseDigest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { WarningEvent } from '../base/progress.ts';
import type {
  Bridge,
  BridgeSolve,
  FrontendResult,
  ResolvedImage,
  ResolveImageOptions,
  SolvedRef,
  WorkerInfo,
} from '../frontend/frontend.ts';
import { commitTime } from '../llb/commit-time.ts';
import type { Definition, SourceOp } from '../llb/op.ts';
import { encodeDefinition } from '../llb/wire/definition-wire.ts';
import { encodeGraph } from '../llb/wire/marshal-graph.ts';
import { definitionsByName } from './definitions-by-name.ts';
import { GatewayTree } from './gateway-tree.ts';
import { resultFromMessage, resultToMessage } from './result-message.ts';

/** What a frontend reaches of a daemon at the other end of the gateway, be it Kiln's or BuildKit's. */
export class GatewayBridge implements Bridge {
  readonly workers: readonly WorkerInfo[];
  readonly #open: OpenCall;
  readonly #warnings: Promise<unknown>[] = [];

  constructor(open: OpenCall, workers: readonly WorkerInfo[]) {
    this.#open = open;
    this.workers = workers;
  }

  /** The definitions that the client sent along. */
  async inputs(): Promise<ReadonlyMap<string, Definition>> {
    const { definitions } = await callUnary(this.#open, LLBBridge.method.inputs, {});
    return await definitionsByName(definitions);
  }

  async resolveImageConfig(ref: string, options: ResolveImageOptions): Promise<ResolvedImage> {
    const { platform, resolveMode, logName = '', ociLayout } = options;
    const answer = await callUnary(this.#open, LLBBridge.method.resolveImageConfig, {
      ref,
      platform: platformToMessage(platform),
      resolveMode,
      logName,
      resolverType: ociLayout ? 1 : 0,
      ...ociLayout,
    });
    return { ref: answer.ref || ref, digest: parseDigest(answer.digest), config: answer.config };
  }

  async sourceTime({ identifier, attrs }: SourceOp, logName: string): Promise<Date | undefined> {
    const { http, git } = await callUnary(this.#open, LLBBridge.method.resolveSourceMeta, {
      source: { identifier, attrs: { ...attrs } },
      logName,
      git: { returnObject: true },
    });
    if (http?.lastModified) return timestampDate(http.lastModified);
    return git && commitTime(git.commitObject);
  }

  async solve(request: BridgeSolve): Promise<FrontendResult> {
    const { graph, frontend, options = {}, inputs = new Map(), cacheImports = [], evaluate } = request;
    const { result, oldRef } = await callUnary(this.#open, LLBBridge.method.solve, {
      definition: graph && (await encodeGraph(graph)),
      frontend,
      frontendOptions: { ...options },
      frontendInputs: Object.fromEntries(
        [...inputs].map(([name, definition]) => [name, encodeDefinition(definition)]),
      ),
      cacheImports: cacheImports.map(({ type, attrs }) => ({ type, attrs: { ...attrs } })),
      allowResultReturn: true,
      allowResultArrayRef: true,
      evaluate,
    });
    const message = result ?? create(ResultSchema, { result: { case: 'oldRef', value: oldRef } });
    return resultFromMessage(message, (id, definition) => new GatewayTree(this.#open, id, definition));
  }

  warn(vertex: Digest, { level, short, detail = [], url = '', source, ranges = [] }: WarningEvent): void {
    const text = (value: string) => Buffer.from(value);
    const told = callUnary(this.#open, LLBBridge.method.warn, {
      digest: vertex,
      level: BigInt(level),
      short: text(short),
      detail: detail.map(text),
      url,
      info: source && { filename: source.filename, language: source.language ?? '', data: source.data },
      ranges: [...ranges],
    });
    // A daemon that takes no warnings gives the same result.
    this.#warnings.push(told.catch(() => {}));
  }

  /** Ends the work with a result. Its trees are those that this bridge gave. */
  async return(result: FrontendResult): Promise<void> {
    await Promise.all(this.#warnings);
    const message = await resultToMessage(result, idOf);
    await callUnary(this.#open, LLBBridge.method.return, { result: message });
  }

  /** Ends the work without a result. */
  async fail(error: unknown): Promise<void> {
    await Promise.all(this.#warnings);
    await callUnary(this.#open, LLBBridge.method.return, { error: toStatus(error) });
  }
}

function idOf(ref: SolvedRef): string {
  if (ref instanceof GatewayTree) return ref.id;
  throw new KilnError('invalid_argument', `tree ${ref.id} of the result was not solved by this daemon`);
}
