/** The flags of `kiln debug shell` as commander gives them. */
export interface ShellFlags {
  readonly secret: readonly string[];
  readonly ssh: readonly string[];
  readonly bringShell?: boolean;
  readonly list?: boolean;
  readonly format?: string;
}
