/** The flags of `kiln run` as commander gives them. */
export interface RunFlags {
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly env: readonly string[];
  readonly envFile: readonly string[];
  readonly volume: readonly string[];
  readonly mount: readonly string[];
  readonly tmpfs: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly entrypoint?: string;
  readonly hostname?: string;
  readonly network: string;
  readonly readOnly?: boolean;
  readonly platform?: string;
  readonly pull?: boolean;
  readonly quiet?: boolean;
}
