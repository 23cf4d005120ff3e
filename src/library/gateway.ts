import type { Digest } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import type { Frontend, FrontendResult, WorkerInfo } from '../frontend/frontend.ts';
import type { State } from '../llb/llb.ts';
import type { Definition } from '../llb/op.ts';

/** What a frontend is asked: `dockerfile.v0`, or `gateway.v0` with an image that is one as its option `source`. */
export interface FrontendSource {
  readonly frontend: string;
  readonly options?: Readonly<Record<string, string>>;
  /** Graphs for the frontend, by the names under which it knows them. */
  readonly inputs?: Readonly<Record<string, State | Definition>>;
}

/** What can be built: a graph, or what a frontend makes of its options. */
export type Source = State | Definition | FrontendSource;

export interface ImageOptions {
  readonly platform?: Platform;
  readonly resolveMode?: 'default' | 'pull' | 'local';
}

/** An image as its registry has it. `name` may differ from the one that was asked for, where a policy says so. */
export interface FoundImage {
  readonly name: string;
  readonly digest: Digest;
  /** The document, for `State.withImageConfig`. */
  readonly config: Uint8Array;
}

/** What a build that is driven from here can ask of the daemon. */
export interface Gateway {
  /** Solves when somebody asks for files of the result, or it is the build's. The result's trees can be read. */
  solve(source: Source, options?: { readonly evaluate?: boolean }): Promise<FrontendResult>;
  /** Finds an image without fetching its layers. */
  findImage(name: string, options?: ImageOptions): Promise<FoundImage>;
  /** The daemon's, the default one first. */
  readonly workers: readonly WorkerInfo[];
}

/** Drives a build: what it returns is the build's result. `signal` aborts when the build ends otherwise. */
export type Drive = (gateway: Gateway, signal: AbortSignal) => Promise<FrontendResult>;

/** A frontend that works in this process, as `kiln/frontend` makes one. */
export type LocalFrontend = Pick<Frontend, 'solve'>;
