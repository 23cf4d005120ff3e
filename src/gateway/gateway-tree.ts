import type { Stat } from '../api/gen/fsutil_stat_pb.js';
import { LLBBridge } from '../api/gen/gateway_pb.js';
import type { OpenCall } from '../api/message-stream.ts';
import { callUnary } from '../api/unary-call.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { FileStat, SolvedRef } from '../frontend/frontend.ts';
import type { OpGraph } from '../llb/graph.ts';
import { decodeDefinition } from '../llb/wire/definition-wire.ts';
import { unmarshalDefinition } from '../llb/wire/unmarshal-definition.ts';

/** A tree at the other end of the gateway. */
export class GatewayTree implements SolvedRef {
  readonly id: string;
  readonly #definition: Uint8Array | undefined;
  readonly #open: OpenCall;

  constructor(open: OpenCall, id: string, definition: Uint8Array | undefined) {
    this.id = id;
    this.#definition = definition;
    this.#open = open;
  }

  get graph(): OpGraph | undefined {
    return this.#definition && unmarshalDefinition(decodeDefinition(this.#definition));
  }

  async evaluate(signal?: AbortSignal): Promise<void> {
    await callUnary(this.#open, LLBBridge.method.evaluate, { ref: this.id }, { signal });
  }

  async readFile(
    path: string,
    range?: { readonly offset: number; readonly length: number },
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    const wanted = range && { offset: BigInt(range.offset), length: BigInt(range.length) };
    const request = { ref: this.id, path, range: wanted };
    return (await found(callUnary(this.#open, LLBBridge.method.readFile, request, { signal }))).data;
  }

  async readDir(path: string, includePattern?: string, signal?: AbortSignal): Promise<readonly FileStat[]> {
    const request = { ref: this.id, path, includePattern };
    const { entries } = await found(callUnary(this.#open, LLBBridge.method.readDir, request, { signal }));
    return entries;
  }

  async statFile(path: string, signal?: AbortSignal): Promise<FileStat> {
    const request = { ref: this.id, path };
    const { stat } = await found(callUnary(this.#open, LLBBridge.method.statFile, request, { signal }));
    return stat ?? missing(path);
  }
}

/** BuildKit says of a missing file only in words that it is missing. */
async function found<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    const { code, message, details } = asKilnError(error);
    if (code !== 'unknown' || !message.endsWith(': no such file or directory')) throw error;
    throw new KilnError('not_found', message, { cause: error, details });
  }
}

function missing(path: string): Stat {
  throw new KilnError('internal', `the daemon says nothing of ${path}`);
}
