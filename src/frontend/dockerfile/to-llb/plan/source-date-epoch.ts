import { isDigest } from '../../../../base/digest.ts';
import { KilnError } from '../../../../base/errors.ts';
import { looksLikeArchive } from '../../../../base/looks-like-archive.ts';
import type { Platform } from '../../../../base/platform.ts';
import { isHttpUrl, parseGitRef } from '../../../../llb/git-ref.ts';
import { files, git, http, type SourceOp, type State, scratch, toGraph } from '../../../../llb/llb.ts';
import type { Bridge, SolvedRef } from '../../../frontend.ts';
import { atSource } from '../../dockerfile-error.ts';
import { expandWord } from '../../expand/expand-word.ts';
import type { AddInstruction, Dockerfile, Stage } from '../../parse/instruction-tree.ts';
import { urlFilename } from '../values/url-filename.ts';
import type { BuildInputs } from './build-inputs.ts';
import { variablesOf } from './global-args.ts';

export const epochName = 'SOURCE_DATE_EPOCH';

export interface EpochContext {
  readonly dockerfile: Dockerfile;
  readonly bridge: Pick<Bridge, 'sourceTime' | 'solve'>;
  readonly inputs: Pick<BuildInputs, 'remoteContext' | 'namedContexts'>;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly platform: Platform;
  readonly signal: AbortSignal;
}

/**
 * The time, in seconds since 1970, that `SOURCE_DATE_EPOCH` stands for: the number itself; or the time of something remote, which is
 * the build context (`context`), a named context, or the one thing that a stage of that name adds. Undefined when that has no time.
 */
export async function resolveEpoch(value: string, context: EpochContext): Promise<number | undefined> {
  if (value === '') return undefined;
  if (/^[+-]?\d+$/.test(value)) return Number(value);
  const { inputs, dockerfile, platform } = context;
  if (value === 'context') {
    return await timeOf(await inputs.remoteContext(), 'main build context metadata', context);
  }
  if (inputs.namedContexts.has(value, platform)) {
    const tree = inputs.namedContexts.findRemote(value, platform);
    return await timeOf(tree, `${epochName} named context ${value}`, context);
  }
  const stage = dockerfile.stages.find(({ from }) => from.name?.toLowerCase() === value.toLowerCase());
  if (stage) return await timeOf(stageSource(stage, context), `${epochName} source stage ${value}`, context);
  throw new KilnError('invalid_argument', `invalid ${epochName}: ${value}`, {
    hint: 'it is a number of seconds since 1970, context, or the name of a context or stage',
  });
}

async function timeOf(
  tree: State | undefined,
  what: string,
  context: EpochContext,
): Promise<number | undefined> {
  const source = tree && onlySource(tree);
  if (!source) return undefined;
  const time =
    (await context.bridge.sourceTime(source, `[internal] resolve ${what}`)) ??
    (await archiveTime(source, context));
  return time && Math.floor(time.getTime() / 1000);
}

function onlySource(tree: State): SourceOp | undefined {
  const { vertices } = toGraph(tree);
  const sources = [...vertices.values()].flatMap(({ op: { action } }) =>
    action.kind === 'source' ? [action] : [],
  );
  return sources.length === 1 ? sources[0] : undefined;
}

/** The time of the latest file in a downloaded archive. */
async function archiveTime(
  { identifier, attrs }: SourceOp,
  { bridge, signal }: EpochContext,
): Promise<Date | undefined> {
  const filename = attrs['http.filename'];
  if (!/^https?:/.test(identifier) || filename === undefined) return undefined;
  const checksum = attrs['http.checksum'];
  const download = http(identifier, { filename, ...(checksum && isDigest(checksum) && { checksum }) });
  const solve = async (tree: State) => (await bridge.solve({ graph: toGraph(tree) })).refs.get('');
  const start = await (await solve(download))?.readFile(filename, { offset: 0, length: 1024 }, signal);
  if (!start || !looksLikeArchive(start)) return undefined;
  const name = `[internal] unpack ${filename}`;
  const unpacked = scratch().file(files().copy(download, `/${filename}`, '/', { unpackArchive: true }), {
    name,
  });
  const ref = await solve(unpacked);
  const latest = ref && (await latestFile(ref, '/', signal));
  return latest === undefined ? undefined : new Date(Number(latest / 1_000_000n));
}

/** Bits of a mode in Go's form: any of the first says that it is not a regular file, the second that it is a directory. */
const typeBits = 0x8f280000;
const directoryBit = 0x80000000;

/** Nanoseconds since 1970; undefined without any file. */
async function latestFile(ref: SolvedRef, path: string, signal: AbortSignal): Promise<bigint | undefined> {
  let latest: bigint | undefined;
  for (const { path: name, mode, modTime } of await ref.readDir(path, undefined, signal)) {
    const isDirectory = (mode & directoryBit) !== 0;
    const time = isDirectory ? await latestFile(ref, `${path}${name}/`, signal) : modTime;
    if (!isDirectory && (mode & typeBits) !== 0) continue;
    if (time !== undefined && (latest === undefined || time > latest)) latest = time;
  }
  return latest;
}

/** The source that a stage adds, which has to consist of one remote `ADD`. */
function stageSource({ from, instructions }: Stage, context: EpochContext): State {
  const { dockerfile, buildArgs, globalArgs } = context;
  const refuse = (why: string) => new KilnError('invalid_argument', `${epochName} stage ${why}`);
  const values = new Map(globalArgs);
  values.delete(epochName);
  const expand = (word: string) => expandWord(dockerfile.words.get(word), variablesOf(values)).text;
  try {
    if (expand(from.image) !== 'scratch') throw refuse('must use FROM scratch');
    let source: State | undefined;
    for (const instruction of instructions) {
      switch (instruction.kind) {
        case 'arg':
          for (const { name, value } of instruction.args) {
            const known = buildArgs.get(name) ?? (value === undefined ? undefined : expand(value));
            if (known !== undefined) values.set(name, known);
          }
          break;
        case 'add':
          if (source) throw refuse('must contain exactly one remote ADD');
          source = addedSource(instruction, expand, refuse);
          break;
        default:
          throw refuse(
            `does not meet source-only requirements: unsupported ${instruction.keyword} instruction`,
          );
      }
    }
    if (!source) throw refuse('must contain exactly one remote ADD');
    return source;
  } catch (error) {
    throw atSource(error, dockerfile.source, [from.range]);
  }
}

function addedSource(
  { sources, documents, flags }: AddInstruction,
  expand: (word: string) => string,
  refuse: (why: string) => KilnError,
): State {
  const [word] = sources;
  if (documents.length > 0 || sources.length !== 1 || word === undefined) {
    throw refuse('must contain exactly one remote ADD source');
  }
  const source = expand(word);
  const checksum = expand(flags.checksum ?? '');
  if (isHttpUrl(source)) {
    if (checksum !== '' && !isDigest(checksum)) throw refuse(`has an invalid checksum ${checksum}`);
    return http(source, { filename: urlFilename(source), ...(checksum && { checksum }) });
  }
  const repository = parseGitRef(source);
  if (!repository || repository.couldBePath) throw refuse('source must be a single HTTP(S) or Git ADD');
  return git(repository.remote, { ...repository.options, ...(checksum && { checksum }) });
}
