import type { ErrorCode, Range } from '../base/errors.ts';
import type { FileStat } from '../frontend/frontend.ts';

/**
 * What the process that runs a build file and the one that started it tell each other: frames of a length, 4 bytes, and JSON. Bytes are
 * base64, maps are lists of pairs. Trees stay in the parent: the child has numbers for them.
 */
export interface BuildFileRequest {
  /** Absolute. */
  readonly file: string;
  /** What the file is called in errors and progress. */
  readonly name: string;
  /** Absolute: what may be imported, besides Kiln's own. */
  readonly directory: string;
  readonly options: Readonly<Record<string, string>>;
  readonly sessionId: string;
  readonly workers: readonly {
    readonly id: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly platforms: readonly unknown[];
  }[];
}

/** From the child. */
export type ChildMessage =
  /** The file is about to be loaded. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'ask'; readonly id: number; readonly question: ChildQuestion }
  | { readonly kind: 'warn'; readonly warning: ChildWarning }
  | { readonly kind: 'result'; readonly result: NumberedTrees }
  | { readonly kind: 'failure'; readonly failure: ChildFailure };

export type ChildQuestion =
  | {
      readonly kind: 'resolveImageConfig';
      readonly ref: string;
      readonly platform: string;
      readonly resolveMode: 'default' | 'pull' | 'local';
      readonly logName: string;
      readonly storeId?: string;
    }
  | { readonly kind: 'solve'; readonly definition: string; readonly evaluate: boolean }
  | {
      readonly kind: 'call';
      readonly frontend: string;
      readonly options: Readonly<Record<string, string>>;
      readonly inputs: readonly (readonly [string, string])[];
    }
  | { readonly kind: 'evaluate'; readonly tree: number }
  | {
      readonly kind: 'readFile';
      readonly tree: number;
      readonly path: string;
      readonly offset: number;
      readonly length: number;
    }
  | { readonly kind: 'readDir'; readonly tree: number; readonly path: string; readonly pattern: string }
  | { readonly kind: 'statFile'; readonly tree: number; readonly path: string };

/** Keys and trees; null is the empty tree. */
export interface NumberedTrees {
  readonly refs: readonly (readonly [string, number | null])[];
  readonly metadata: readonly (readonly [string, string])[];
}

export interface ChildWarning {
  readonly short: string;
  readonly detail: readonly string[];
  readonly url: string;
  readonly source?: SourceText;
}

export interface SourceText {
  readonly filename: string;
  /** base64 */
  readonly data: string;
  readonly ranges: readonly Range[];
}

/** Why there is no result. */
export interface ChildFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly source?: SourceText;
  /** The question whose answer was an error, if that is what ended the file. */
  readonly question?: number;
}

/** From the parent, after the request. */
export type ParentMessage =
  | { readonly id: number; readonly answer: unknown }
  | {
      readonly id: number;
      readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint?: string };
    };

/** A stat with its large numbers as texts, and without extended attributes. */
export type StatText = Omit<FileStat, 'size' | 'modTime' | 'devmajor' | 'devminor' | 'xattrs'> & {
  readonly size: string;
  readonly modTime: string;
};
