/** A mount of the OCI runtime specification. */
export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** An absolute path, then every directory above it, the deepest first. The root is left out. */
export function* fromPathUp(name: string): Generator<string> {
  for (let at = name; at.length > 1; at = at.slice(0, at.lastIndexOf('/'))) yield at;
}
