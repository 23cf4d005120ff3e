import type { PatternMatcher } from '../../../../base/pattern/pattern.ts';
import type { Platform } from '../../../../base/platform.ts';
import type { SourceFile, State } from '../../../../llb/llb.ts';
import type { ProxyEnv } from '../../../../llb/op.ts';
import type { Variables } from '../../expand/expand-word.ts';
import type { GrowthLimit } from '../../expand/growth-limit.ts';
import type { ParsedWords } from '../../expand/parsed-words.ts';
import type { Linter } from '../../lint/linter.ts';
import type { RequestOptions } from './request-options.ts';

/** What the conversion of every stage shares. */
export interface ConversionContext {
  readonly options: RequestOptions;
  /** The client's build arguments, with `SOURCE_DATE_EPOCH` replaced by the number that it stands for. */
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly words: ParsedWords;
  readonly file: SourceFile;
  /** The global `ARG`s and the predefined ones. */
  readonly globalArgs: Variables;
  readonly targetPlatform: Platform;
  /** `SOURCE_DATE_EPOCH` in seconds. */
  readonly epoch: number | undefined;
  readonly proxyEnv: ProxyEnv | undefined;
  readonly growth: GrowthLimit;
  readonly linter: Linter;
  /** The build context, which is reduced to `contextPaths` when the graph is made. */
  readonly buildContext: State;
  readonly contextPaths: PathSet;
  /** Undefined when `.dockerignore` excludes nothing, or has `!` patterns, which paths alone do not decide. */
  readonly ignored: IgnoredPaths | undefined;
}

/** What `.dockerignore` excludes. `excludesAll`: one of its patterns alone excludes every file. */
export interface IgnoredPaths {
  readonly matcher: PatternMatcher;
  readonly excludesAll: boolean;
}

/** The paths of a tree that are read. Grows while stages are converted. */
export class PathSet {
  readonly #paths = new Set<string>();

  /** `path` is relative to the tree's root, or absolute in it. */
  add(path: string): void {
    this.#paths.add(path);
  }

  /** Sorted and relative; empty when all of the tree is needed. */
  get list(): readonly string[] {
    if (this.#paths.has('/')) return [];
    return [...this.#paths].map((path) => path.replace(/^\//, '')).sort();
  }
}
