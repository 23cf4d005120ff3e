/** Which of a client's outputs is meant. */
export interface OutputTarget {
  readonly sessionId: string;
  /** Position among the build's exporters. */
  readonly index: number;
}

/**
 * Sends results to the client that asked for them, over its session (`moby.filesync.v1.FileSend`). Throws
 * `failed_precondition` when the client offers no such service.
 */
export interface ClientOutput {
  /** Opens the client's file for this output. `metadata` is told to the client before any data (the exporter's response). */
  openFile(
    target: OutputTarget,
    metadata: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<OutputFile>;
  /** Copies trees into the client's directory for this output, all in one transfer. */
  sendTrees(
    target: OutputTarget,
    trees: readonly OutputTree[],
    options: {
      readonly signal: AbortSignal;
      /** Remove what the client's directory holds besides. */
      readonly deleteOthers: boolean;
      readonly onProgress: (bytes: number) => void;
    },
  ): Promise<void>;
}

/** Disposing a file that was not closed tells the client that it is not whole. */
export interface OutputFile extends AsyncDisposable {
  /** Waits when the client is slow. Throws `already_exists` when the client does not want the file because it has it. */
  write(chunk: Uint8Array): Promise<void>;
  /** Ends the file; returns when the client has stored it. */
  close(): Promise<void>;
}

export interface OutputTree {
  /** The platform's. */
  readonly name: string;
  /** A directory made for this tree in the output, `linux_arm64`; empty for the output's own root. */
  readonly prefix: string;
  /** A directory with the files, merged; undefined for the empty tree. */
  readonly path: string | undefined;
  /** All files get this time, in seconds since 1970; undefined keeps theirs. */
  readonly epoch?: number;
}
