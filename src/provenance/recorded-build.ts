import { KilnError } from '../base/errors.ts';

/** A definition as the provenance of an image names it. */
export interface RecordedBuild {
  /** Empty for a definition that was built without a frontend. */
  readonly frontend: string;
  readonly args: ReadonlyMap<string, string>;
  /** Names of directories of the client. */
  readonly locals: readonly string[];
  /** The context, if it is not one of the client's directories. */
  readonly context: string | undefined;
  /** Where the Dockerfile is in it. */
  readonly path: string | undefined;
  /** Whether all arguments are there: `mode=min` leaves out build arguments and labels. */
  readonly hasAllArgs: boolean;
  /** Digests of the steps of the definition; undefined where they are left out (`mode=min`). */
  readonly steps: ReadonlySet<string> | undefined;
  /** Texts of the files that it was written in, by name; undefined where they are left out. */
  readonly files: ReadonlyMap<string, Uint8Array> | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** BuildKit's additions to a version 0.2 predicate have this before their names. */
const extension = 'https://mobyproject.org/buildkit@v1#';

/**
 * Reads a statement of provenance, SLSA's version 0.2 or 1 as BuildKit writes them. Parts that it lacks are empty. Throws `invalid_argument`
 * for what is no statement, `unimplemented` for another predicate.
 */
export function readRecordedBuild(statement: Uint8Array, what: string): RecordedBuild {
  const { predicateType, predicate } = parseStatement(statement, what);
  const fields = fieldsOf(predicate);
  switch (predicateType) {
    case 'https://slsa.dev/provenance/v1': {
      const definition = fieldsOf(fields.buildDefinition);
      const external = fieldsOf(definition.externalParameters);
      const internal = fieldsOf(definition.internalParameters);
      const metadata = fieldsOf(fieldsOf(fields.runDetails).metadata);
      return recorded({
        configSource: fieldsOf(external.configSource),
        pathField: 'path',
        request: fieldsOf(external.request),
        hasAllArgs: fieldsOf(metadata.buildkit_completeness).request === true,
        buildConfig: internal.buildConfig,
        source: fieldsOf(metadata.buildkit_metadata).source,
      });
    }
    case 'https://slsa.dev/provenance/v0.2': {
      const invocation = fieldsOf(fields.invocation);
      const metadata = fieldsOf(fields.metadata);
      return recorded({
        configSource: fieldsOf(invocation.configSource),
        pathField: 'entryPoint',
        request: fieldsOf(invocation.parameters),
        hasAllArgs: fieldsOf(metadata.completeness).parameters === true,
        buildConfig: fields.buildConfig,
        source: fieldsOf(metadata[`${extension}metadata`]).source,
      });
    }
    default:
      throw new KilnError(
        'unimplemented',
        `${what}: a predicate of type ${JSON.stringify(predicateType)} names no definition that can be compared`,
      );
  }
}

/** The digests in hex (sha256) of what a statement is about. Throws `invalid_argument`. */
export function statementDigests(statement: Uint8Array, what: string): readonly string[] {
  return listOf(parseStatement(statement, what).subject).flatMap((subject) => {
    const { sha256 } = fieldsOf(fieldsOf(subject).digest);
    return typeof sha256 === 'string' ? [sha256] : [];
  });
}

function parseStatement(statement: Uint8Array, what: string): Fields {
  try {
    return fieldsOf(JSON.parse(Buffer.from(statement).toString('utf8')));
  } catch (cause) {
    throw new KilnError('invalid_argument', `${what} is not JSON`, { cause });
  }
}

interface PredicateFields {
  readonly configSource: Fields;
  readonly pathField: string;
  readonly request: Fields;
  readonly hasAllArgs: boolean;
  readonly buildConfig: unknown;
  readonly source: unknown;
}

function recorded(fields: PredicateFields): RecordedBuild {
  const { configSource, pathField, request, hasAllArgs, buildConfig, source } = fields;
  const files = listOf(fieldsOf(source).infos).flatMap((info): [string, Uint8Array][] => {
    const { filename, data } = fieldsOf(info);
    return typeof filename === 'string' && typeof data === 'string'
      ? [[filename, Buffer.from(data, 'base64')]]
      : [];
  });
  return {
    frontend: textOf(request.frontend) ?? '',
    args: new Map(
      Object.entries(fieldsOf(request.args)).flatMap(([name, value]): [string, string][] =>
        typeof value === 'string' ? [[name, value]] : [],
      ),
    ),
    locals: listOf(request.locals).flatMap((local) => textOf(fieldsOf(local).name) ?? []),
    context: textOf(configSource.uri),
    path: textOf(configSource[pathField]),
    hasAllArgs,
    steps:
      buildConfig === undefined
        ? undefined
        : new Set(Object.keys(fieldsOf(fieldsOf(buildConfig).digestMapping))),
    files: files.length > 0 ? new Map(files) : undefined,
  };
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
