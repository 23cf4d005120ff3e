import { isDigest } from '../../../base/digest.ts';
import { KilnError } from '../../../base/errors.ts';
import { atSource, dockerfileError } from '../dockerfile-error.ts';
import { expandWord } from '../expand/expand-word.ts';
import type { ArgInstruction, Dockerfile, Stage } from '../parse/instruction-tree.ts';
import type { BuildInputs } from './build-inputs.ts';
import { variablesOf } from './global-args.ts';
import { parseRemoteSource, type RemoteSource } from './source-time.ts';

export const epochName = 'SOURCE_DATE_EPOCH';

export interface EpochRequest {
  readonly dockerfile: Dockerfile;
  readonly inputs: BuildInputs;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly globalArgs: ReadonlyMap<string, string>;
}

/**
 * The time that a value of `SOURCE_DATE_EPOCH` stands for, in seconds since 1970: a number, `context` for when the build context
 * changed, or the name of a named context or of a stage that adds one remote source. Undefined when there is none to know.
 * Throws `invalid_argument`.
 */
export async function resolveEpoch(value: string, request: EpochRequest): Promise<number | undefined> {
  if (value === '') return undefined;
  if (/^[+-]?\d+$/.test(value)) return Number(value);
  const { dockerfile, inputs } = request;
  if (value === 'context') return inputs.contextTime();
  if (inputs.hasNamedContext(value, undefined)) return inputs.namedContextTime(value);
  const stage = dockerfile.stages.find(({ from }) => from.name === value.toLowerCase());
  if (stage) return inputs.timeOf(sourceOf(stage, request));
  throw new KilnError('invalid_argument', `invalid ${epochName}: ${value}`, {
    hint: 'it is a number of seconds since 1970, context, or the name of a context or stage',
  });
}

/** The source of a stage that does nothing but add it. */
function sourceOf(stage: Stage, { dockerfile, buildArgs, globalArgs }: EpochRequest): RemoteSource {
  const { from, instructions } = stage;
  const fail = (message: string) => dockerfileError(dockerfile.source, from.range, message);
  const args = new Map(globalArgs);
  args.delete(epochName);
  const expand = (word: string) => {
    try {
      return expandWord(word, variablesOf(args), { escape: dockerfile.escape }).text;
    } catch (error) {
      throw atSource(error, dockerfile.source, [from.range]);
    }
  };
  if (expand(from.image) !== 'scratch') throw fail(`${epochName} stage must use FROM scratch`);
  let source: RemoteSource | undefined;
  const needsOne = `${epochName} stage must contain exactly one remote ADD`;
  for (const instruction of instructions) {
    if (instruction.kind === 'arg') declare(instruction, args, buildArgs, expand);
    else if (instruction.kind === 'add') {
      const { sources, documents, flags } = instruction;
      if (source) throw fail(needsOne);
      if (documents.length > 0 || sources.length !== 1) throw fail(`${needsOne} source`);
      const remote = parseRemoteSource(expand(sources[0]!));
      if (!remote || (remote.kind === 'git' && remote.ref.couldBePath)) {
        throw fail(`${epochName} stage source must be a single HTTP(S) or Git ADD`);
      }
      const checksum = expand(flags.checksum ?? '');
      source = checksum === '' ? remote : withChecksum(remote, checksum, fail);
    } else {
      throw fail(
        `${epochName} stage does not meet source-only requirements: unsupported ${instruction.keyword} instruction`,
      );
    }
  }
  if (!source) throw fail(needsOne);
  return source;
}

function declare(
  { args: declared }: ArgInstruction,
  args: Map<string, string>,
  buildArgs: ReadonlyMap<string, string>,
  expand: (word: string) => string,
): void {
  for (const { name, value } of declared) {
    const given = buildArgs.get(name) ?? (value === undefined ? undefined : expand(value));
    if (given !== undefined) args.set(name, given);
  }
}

function withChecksum(
  source: RemoteSource,
  checksum: string,
  fail: (message: string) => KilnError,
): RemoteSource {
  if (source.kind === 'git') {
    return { ...source, ref: { ...source.ref, options: { ...source.ref.options, checksum } } };
  }
  if (isDigest(checksum)) return { ...source, checksum };
  throw fail(`invalid checksum ${JSON.stringify(checksum)}`);
}
