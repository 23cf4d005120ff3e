import type { Range } from '../../../base/errors.ts';
import type { DockerfileSource } from '../dockerfile-error.ts';
import type { ParsedWords } from '../expand/parsed-words.ts';
import type { Directive } from './directives.ts';
import type { Flags, FlagTables } from './flags.ts';
import type { WordPlaces } from './word-places.ts';

/** A Dockerfile as it was written: variables are not expanded, names not resolved. */
export interface Dockerfile {
  readonly source: DockerfileSource;
  readonly directives: readonly Directive[];
  /** Words of the file, parsed when they are first expanded. */
  readonly words: ParsedWords;
  /** `ARG`s before the first `FROM`. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  /** Instructions with empty lines among their continuation lines. */
  readonly emptyContinuations: readonly Range[];
}

export interface Stage {
  readonly from: FromInstruction;
  readonly instructions: readonly Instruction[];
}

/** The properties that all instructions have. */
export interface InstructionHead {
  /** As written: `RUN`, `run`. */
  readonly keyword: string;
  /** The whole instruction on one line, continuation marks taken out. */
  readonly code: string;
  /** From its first line to its last, heredocs included. */
  readonly range: Range;
  /** Comment lines above it, without `#`. */
  readonly comments: readonly string[];
  /** The places of its flags, by their names without `--`, in order. */
  readonly flagRanges: ReadonlyMap<string, readonly Range[]>;
  /** The places of its words. */
  readonly places: WordPlaces;
}

export type FromInstruction = InstructionHead & {
  readonly kind: 'from';
  readonly flags: Flags<FlagTables['from']>;
  readonly image: string;
  /** In lower case. */
  readonly name?: string;
  /** `as` and the name as they were written. */
  readonly as?: { readonly keyword: string; readonly name: string };
  /** What the comment above says of the stage. */
  readonly description?: string;
};

export type ArgInstruction = InstructionHead & {
  readonly kind: 'arg';
  readonly args: readonly ArgDefinition[];
};

export interface ArgDefinition {
  readonly name: string;
  readonly value?: string;
  readonly description?: string;
}

export type Instruction =
  | ArgInstruction
  | AddInstruction
  | CopyInstruction
  | RunInstruction
  | EnvInstruction
  | LabelInstruction
  | HealthcheckInstruction
  | (InstructionHead & { readonly kind: 'cmd'; readonly command: CommandLine })
  | (InstructionHead & { readonly kind: 'entrypoint'; readonly command: CommandLine })
  | (InstructionHead & { readonly kind: 'expose'; readonly ports: readonly string[] })
  | (InstructionHead & { readonly kind: 'maintainer'; readonly author: string })
  /** `expression` is the instruction to run, with its heredocs. */
  | (InstructionHead & { readonly kind: 'onbuild'; readonly expression: string })
  | (InstructionHead & { readonly kind: 'shell'; readonly shell: readonly string[] })
  | (InstructionHead & { readonly kind: 'stopsignal'; readonly signal: string })
  | (InstructionHead & { readonly kind: 'user'; readonly user: string })
  | (InstructionHead & { readonly kind: 'volume'; readonly paths: readonly string[] })
  | (InstructionHead & { readonly kind: 'workdir'; readonly path: string });

export type AddInstruction = InstructionHead & {
  readonly kind: 'add';
  readonly flags: Flags<FlagTables['add']>;
} & CopyPaths;

export type CopyInstruction = InstructionHead & {
  readonly kind: 'copy';
  readonly flags: Flags<FlagTables['copy']>;
} & CopyPaths;

export interface CopyPaths {
  readonly sources: readonly string[];
  readonly dest: string;
  /** Files whose content is in the Dockerfile; leading tabs already removed for `<<-`. */
  readonly documents: readonly CopiedDocument[];
}

export type CopiedDocument = { readonly name: string } & (
  | { readonly expand: true; readonly data: string }
  /** Bytes where they are not UTF-8. */
  | { readonly expand: false; readonly data: string | Uint8Array }
);

export type RunInstruction = InstructionHead & {
  readonly kind: 'run';
  readonly flags: Flags<FlagTables['run']>;
  readonly command: RunCommand;
};

export type RunCommand =
  | { readonly form: 'exec'; readonly args: readonly string[] }
  /** The shell reads the heredocs itself. */
  | { readonly form: 'shell'; readonly text: string; readonly documents: readonly Heredoc[] }
  /** A heredoc alone, tabs already removed for `<<-`; `bytes` where it is not UTF-8. */
  | { readonly form: 'script'; readonly name: string; readonly text: string; readonly bytes?: Buffer };

export type EnvInstruction = InstructionHead & { readonly kind: 'env'; readonly pairs: readonly KeyValue[] };
export type LabelInstruction = InstructionHead & {
  readonly kind: 'label';
  readonly pairs: readonly KeyValue[];
};

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** Written as `key value`. */
  readonly legacy: boolean;
}

/** Durations in nanoseconds, 0 for none given. */
export type HealthcheckInstruction = InstructionHead & {
  readonly kind: 'healthcheck';
  /** `NONE`, or `CMD` and the command, or `CMD-SHELL` and its text. */
  readonly test: readonly string[];
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly startInterval: number;
  readonly retries: number;
};

/** An array in JSON, or a text for the shell. */
export type CommandLine =
  | { readonly form: 'exec'; readonly args: readonly string[] }
  | { readonly form: 'shell'; readonly text: string };

export interface Heredoc {
  readonly name: string;
  /** The line of the file that its content begins in, counted from 1. */
  readonly line: number;
  /** Its lines, with their ends. */
  readonly content: string;
  /** The same as it is in the file. Given where that is not UTF-8, and `content` has U+FFFD in its place. */
  readonly bytes?: Buffer;
  /** Whether the name was unquoted, so that variables are to be expanded. */
  readonly expand: boolean;
  /** Whether leading tabs are to be removed: `<<-`. */
  readonly chomp: boolean;
}
