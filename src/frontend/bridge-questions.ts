import type { Digest } from '../base/digest.ts';
import type { WarningEvent } from '../base/progress.ts';
import type { SourceOp } from '../llb/op.ts';
import type {
  BridgeSolve,
  FileStat,
  FrontendRequest,
  ResolvedImage,
  ResolveImageOptions,
  WorkerInfo,
} from './frontend.ts';
import type { PackedGraph } from './packed-graph.ts';
import type { ResultAttestations } from './result-attestation.ts';

/** What a frontend in a thread and the bridge outside it tell each other. Trees stay outside: the thread has numbers for them. */

export interface ThreadRequest extends FrontendRequest {
  readonly workers: readonly WorkerInfo[];
}

/** Every question, with the types of its parameters and its answer. */
export interface Questions {
  resolveImageConfig: {
    asks: { readonly ref: string; readonly options: ResolveImageOptions };
    answer: ResolvedImage;
  };
  sourceTime: {
    asks: { readonly source: SourceOp; readonly logName: string };
    answer: Date | undefined;
  };
  solve: {
    asks: { readonly request: Omit<BridgeSolve, 'graph'>; readonly graph: PackedGraph | undefined };
    answer: NumberedResult;
  };
  evaluate: { asks: { readonly tree: number }; answer: undefined };
  readFile: {
    asks: {
      readonly tree: number;
      readonly path: string;
      readonly range: { readonly offset: number; readonly length: number } | undefined;
    };
    answer: Uint8Array;
  };
  readDir: {
    asks: { readonly tree: number; readonly path: string; readonly includePattern: string | undefined };
    answer: readonly FileStat[];
  };
  statFile: { asks: { readonly tree: number; readonly path: string }; answer: FileStat };
}

export type Question = {
  [Kind in keyof Questions]: { readonly kind: Kind } & Questions[Kind]['asks'];
}[keyof Questions];

export interface NumberedResult {
  readonly refs: ReadonlyMap<string, NumberedTree | undefined>;
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  readonly attestations: ResultAttestations<NumberedTree> | undefined;
}

export interface NumberedTree {
  readonly number: number;
  readonly id: string;
}

/** A frontend's result: numbers of trees. */
export interface ThreadResult {
  readonly refs: ReadonlyMap<string, number | undefined>;
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  readonly attestations: ResultAttestations<number> | undefined;
}

export interface ThreadWarning {
  readonly vertex: Digest;
  readonly warning: WarningEvent;
}
