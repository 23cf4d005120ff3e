import type { Platform } from '../../base/platform.ts';
import type { NetworkMode, SecurityMode } from '../op.ts';
import type { Output } from './vertex.ts';

/** A tree of files under construction, and the settings of processes that are run on it. */
export interface DescribedTree {
  /** Undefined for the empty tree. */
  readonly output: Output | undefined;
  readonly settings: StateSettings;
}

/** What processes that are run on a tree inherit. */
export interface StateSettings {
  /** In the order of their last assignment. */
  readonly env: ReadonlyMap<string, string>;
  /** Absolute. */
  readonly dir: string;
  readonly user: string;
  readonly platform?: Platform;
  readonly hostname: string;
  readonly network: NetworkMode;
  readonly security: SecurityMode;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent: string;
}

/** What holds for one process, besides the settings of the tree that it is run on: lists and variables are added to theirs. */
export interface ProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Relative to the tree's working directory. */
  readonly dir?: string;
  readonly user?: string;
  readonly hostname?: string;
  readonly network?: NetworkMode;
  readonly security?: SecurityMode;
  readonly extraHosts?: StateSettings['extraHosts'];
  readonly ulimits?: StateSettings['ulimits'];
  readonly cgroupParent?: string;
}
