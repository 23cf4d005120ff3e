/** The flags of `build` as commander gives them: those of `buildctl build`, and those people know from `docker build`. */
export interface BuildFlags {
  readonly frontend?: string;
  readonly local: readonly string[];
  readonly ociLayout: readonly string[];
  readonly opt: readonly string[];
  readonly output: readonly string[];
  readonly exportCache: readonly string[];
  readonly importCache: readonly string[];
  readonly secret: readonly string[];
  readonly ssh: readonly string[];
  readonly allow: readonly string[];
  /** False with `--no-cache`. */
  readonly cache: boolean;
  readonly progress: string;
  readonly explain?: boolean;
  readonly trace?: string;
  readonly debugShell?: boolean;
  readonly metadataFile?: string;
  readonly sourcePolicyFile?: string;
  readonly refFile?: string;
  readonly registryAuthTlscontext: readonly string[];
  readonly proxyNetwork?: boolean;

  readonly tag: readonly string[];
  readonly file?: string;
  readonly target?: string;
  readonly buildArg: readonly string[];
  readonly buildContext: readonly string[];
  readonly label: readonly string[];
  readonly platform: readonly string[];
  readonly noCacheFilter: readonly string[];
  readonly addHost: readonly string[];
  readonly network?: string;
  readonly shmSize?: string;
  readonly ulimit: readonly string[];
  readonly pull?: boolean;
  readonly push?: boolean;
  readonly attest: readonly string[];
  readonly provenance?: string;
  readonly sbom?: string;
  readonly load?: boolean;
  /** The value of `--load=…`. */
  readonly loadInto?: string;
  readonly quiet?: boolean;
  readonly check?: boolean;
  /** `build` to ask nothing. */
  readonly call: string;
  readonly iidfile?: string;
}
