import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { WarningEvent } from '../../base/progress.ts';
import type { Definition, OpGraph, SourceOp } from '../../llb/llb.ts';
import type {
  Bridge,
  BridgeSolve,
  FileStat,
  Frontend,
  FrontendResult,
  ResolveImageOptions,
  SolvedRef,
} from '../frontend.ts';
import { createDockerfileFrontend } from './dockerfile-frontend.ts';

/** What a test's engine has: files of the client's directories, and image configs by reference. */
export interface RigOptions {
  /** The Dockerfile frontend by default. */
  readonly frontend?: Frontend;
  readonly dockerfile: string | Uint8Array;
  readonly filename?: string;
  readonly options?: Readonly<Record<string, string>>;
  /** By directory (`context`, `dockerfile`, or another name) and path. */
  readonly files?: Readonly<Record<string, Readonly<Record<string, string | Uint8Array>>>>;
  readonly images?: Readonly<Record<string, object>>;
  /** The config of every other image. */
  readonly anyImage?: object;
  readonly inputs?: ReadonlyMap<string, Definition>;
  /** Why nothing can be read of the client's directories. */
  readonly failDirectories?: KilnError;
  /** When a remote source changed, by its identifier. */
  readonly sourceTimes?: Readonly<Record<string, Date>>;
  /** What a downloaded archive holds: modification times by path. */
  readonly archiveTimes?: Readonly<Record<string, bigint>>;
  /** Why another frontend that is asked fails. */
  readonly failForwarded?: KilnError;
  /** Told of warnings at once, which a build that fails does not return. */
  readonly onWarning?: (warning: WarningEvent) => void;
}

export interface RigResult extends FrontendResult {
  /** The graph of each ref, by its key. */
  readonly graphs: ReadonlyMap<string, OpGraph>;
  /** The image config of the only (or first) platform. */
  readonly config: Record<string, unknown> & { config: Record<string, unknown> };
  readonly history: readonly Readonly<Record<string, unknown>>[];
  readonly warnings: readonly WarningEvent[];
  /** Image configs that were asked for, in order. */
  readonly resolved: readonly { readonly ref: string; readonly options: ResolveImageOptions }[];
  readonly solved: readonly BridgeSolve[];
}

/** How a gzip archive begins. */
const archiveStart = Buffer.of(0x1f, 0x8b, 0x08);

/** Runs a frontend over a bridge that keeps everything in memory and records what is asked of it. */
export async function runFrontend(rig: RigOptions): Promise<RigResult> {
  const warnings: WarningEvent[] = [];
  const resolved: { ref: string; options: ResolveImageOptions }[] = [];
  const solved: BridgeSolve[] = [];
  const directories: Record<string, Readonly<Record<string, string | Uint8Array>>> = {
    ...rig.files,
    dockerfile: { [rig.filename ?? 'Dockerfile']: rig.dockerfile, ...rig.files?.dockerfile },
  };
  const bridge: Bridge = {
    workers: [{ id: 'w', labels: {}, platforms: [{ os: 'linux', architecture: 'amd64' }] }],
    warn: (_vertex, warning) => {
      warnings.push(warning);
      rig.onWarning?.(warning);
    },
    async resolveImageConfig(ref, options) {
      resolved.push({ ref, options });
      const config = rig.images?.[ref] ?? rig.anyImage;
      if (!config) throw new KilnError('not_found', `${ref}: not found`);
      const bytes = Buffer.from(JSON.stringify(config));
      return { ref, digest: digestOf(bytes), config: bytes };
    },
    sourceTime: async ({ identifier }) => rig.sourceTimes?.[identifier],
    async solve(request) {
      solved.push(request);
      if (request.frontend !== undefined && rig.failForwarded) throw rig.failForwarded;
      const ref = request.graph && memoryRef(request.graph, directories, rig);
      return { refs: new Map([['', ref]]), metadata: new Map() };
    },
  };
  const result = await (rig.frontend ?? createDockerfileFrontend()).solve(
    bridge,
    { options: rig.options ?? {}, inputs: rig.inputs ?? new Map(), sessionId: 's1' },
    new AbortController().signal,
  );
  const graphs = new Map(
    [...result.refs].flatMap(([key, ref]) => (ref?.graph ? [[key, ref.graph] as const] : [])),
  );
  const [config] = [...result.metadata].filter(([key]) => key.startsWith('containerimage.config'));
  const json = config && JSON.parse(Buffer.from(config[1]).toString());
  return {
    ...result,
    graphs,
    config: json,
    history: json?.history ?? [],
    warnings,
    resolved,
    solved,
  };
}

function memoryRef(
  graph: OpGraph,
  directories: Readonly<Record<string, Readonly<Record<string, string | Uint8Array>>>>,
  { archiveTimes: times = {}, failDirectories }: RigOptions,
): SolvedRef {
  const local = [...graph.vertices.values()]
    .map(({ op }) => op.action)
    .find((action): action is { kind: 'source' } & SourceOp => action.kind === 'source');
  const files = directories[local?.identifier.replace('local://', '') ?? ''] ?? {};
  return {
    id: 'r',
    graph,
    evaluate: async () => {},
    async readDir(path) {
      const below = path.endsWith('/') ? path : `${path}/`;
      const names = Object.keys(times).flatMap((file) =>
        file.startsWith(below) ? [file.slice(below.length).split('/')[0]!] : [],
      );
      return [...new Set(names)].map((name) => statOf(name, times[below + name]));
    },
    async statFile(path) {
      return statOf(path, times[`/${path}`]);
    },
    async readFile(path) {
      if (failDirectories && local) throw failDirectories;
      const content = files[path] ?? (Object.keys(times).length > 0 ? archiveStart : undefined);
      if (content === undefined) throw new KilnError('not_found', `${path}: no such file`);
      return Buffer.from(content);
    },
  };
}

/** Vertices in order, as `name: what`. */
export function outline(graph: OpGraph): string[] {
  return [...graph.vertices.values()].map(({ metadata }) => metadata.description['llb.customname'] ?? '?');
}

/** A file with its time, or a directory without. */
function statOf(path: string, time: bigint | undefined): FileStat {
  return {
    path,
    mode: time === undefined ? 0x8000_01ed : 0o644,
    uid: 0,
    gid: 0,
    size: 0n,
    modTime: time ?? 0n,
    linkname: '',
    devmajor: 0n,
    devminor: 0n,
    xattrs: {},
  };
}
