import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { cutPair } from '../../base/text/cut-pair.ts';
import type { ImageProcess } from '../../client/processes/run-image.ts';
import type { ContainerConfig } from '../../oci/image-config.ts';
import { csvAttributes } from '../options/values/csv-attributes.ts';
import type { RunFlags } from './run-flags.ts';

type Environment = Readonly<Record<string, string | undefined>>;
type Mount = ImageProcess['mounts'][number];

/** What the flags say of the process, checked before anything is asked of the engine. */
export interface RequestedProcess {
  /** What an image's config and the flags say together. Throws `invalid_argument` when that is no command. */
  on(config: ContainerConfig): ImageProcess;
}

/** Throws `invalid_argument`, and what reading a file throws. */
export async function requestedProcess(
  command: readonly string[],
  flags: RunFlags,
  environment: Environment,
  terminal: ImageProcess['terminal'],
): Promise<RequestedProcess> {
  const mounts = [
    ...flags.volume.map(parseVolume),
    ...flags.mount.map(parseMount),
    ...flags.tmpfs.map((target) => ({ target: absolute('--tmpfs', target), source: '', readonly: false })),
  ];
  const variables = [
    ...(terminal ? [`TERM=${environment.TERM || 'xterm'}`] : []),
    ...(await Promise.all(flags.envFile.map((file) => readEnvironment(file, environment)))).flat(),
    ...flags.env.flatMap((text) => variableOf(text, environment)),
  ];
  return {
    on(config) {
      const entrypoint =
        flags.entrypoint === undefined
          ? strings(config.Entrypoint)
          : flags.entrypoint === ''
            ? []
            : [flags.entrypoint];
      // Another entrypoint has no use for the arguments of the image's.
      const standard = flags.entrypoint === undefined ? strings(config.Cmd) : [];
      const args = [...entrypoint, ...(command.length > 0 ? command : standard)];
      if (args.length === 0) {
        throw new KilnError('invalid_argument', 'the image does not say what to run', {
          hint: 'name a command behind it: kiln run IMAGE COMMAND',
        });
      }
      return {
        args,
        env: lastOfEach([...strings(config.Env), ...variables]),
        cwd: flags.workdir ?? text(config.WorkingDir),
        user: flags.user ?? text(config.User),
        hostname: flags.hostname ?? '',
        noNetwork: flags.network === 'none',
        readonlyRoot: flags.readOnly ?? false,
        mounts,
        terminal,
      };
    },
  };
}

/** `/dir:/place[:ro]`; a path that begins with a dot is one of here. */
export function parseVolume(volume: string): Mount {
  const [source = '', target = '', mode = 'rw', ...more] = volume.split(':');
  if (target === '' || more.length > 0 || (mode !== 'ro' && mode !== 'rw')) {
    throw new KilnError('invalid_argument', `--volume ${volume}: want DIRECTORY:PLACE or DIRECTORY:PLACE:ro`);
  }
  if (!source.startsWith('/') && !source.startsWith('.')) {
    throw new KilnError('invalid_argument', `--volume ${volume}: ${JSON.stringify(source)} is no path`, {
      hint: `there are no named volumes; a directory of here is ./${source}`,
    });
  }
  return { source: path.resolve(source), target: absolute('--volume', target), readonly: mode === 'ro' };
}

/** `type=bind,src=…,dst=…,readonly` or `type=tmpfs,dst=…`. */
export function parseMount(mount: string): Mount {
  // Flags of their own, without a value.
  const fields = mount.split(',').map((field) => (/^(readonly|ro)$/.test(field) ? `${field}=true` : field));
  const attributes = csvAttributes('--mount', fields.join(','));
  const take = (...names: readonly string[]): string | undefined => {
    const name = names.find((each) => attributes.has(each));
    if (name === undefined) return undefined;
    const value = attributes.get(name);
    attributes.delete(name);
    return value;
  };
  const type = take('type') ?? 'bind';
  const target = absolute('--mount', take('dst', 'destination', 'target') ?? '');
  const readonly = (take('readonly', 'ro') ?? 'false') !== 'false';
  const source = take('src', 'source');
  const [unknown] = attributes.keys();
  if (unknown !== undefined) {
    throw new KilnError('invalid_argument', `--mount ${mount}: there is no ${JSON.stringify(unknown)}`);
  }
  if (type === 'tmpfs' && source === undefined) return { source: '', target, readonly };
  if (type !== 'bind' || !source) {
    throw new KilnError(
      'invalid_argument',
      `--mount ${mount}: want type=bind with src=, or type=tmpfs without`,
    );
  }
  return { source: path.resolve(source), target, readonly };
}

function absolute(flag: string, place: string): string {
  if (place.startsWith('/')) return place;
  throw new KilnError('invalid_argument', `${flag}: ${JSON.stringify(place)} is not an absolute path`);
}

async function readEnvironment(file: string, environment: Environment): Promise<readonly string[]> {
  const content = await readFile(file, 'utf8').catch((error) => {
    throw asKilnError(error).wrap('--env-file');
  });
  return content
    .split('\n')
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .flatMap((line) => variableOf(line, environment));
}

function variableOf(variable: string, environment: Environment): readonly string[] {
  const [name, value] = cutPair(variable) ?? [variable];
  if (name === '') throw new KilnError('invalid_argument', `--env ${variable}: the name is missing`);
  if (value !== undefined) return [variable];
  const here = environment[name];
  return here === undefined ? [] : [`${name}=${here}`];
}

function lastOfEach(variables: readonly string[]): readonly string[] {
  const byName = new Map<string, string>();
  for (const variable of variables) byName.set(variable.split('=', 1)[0]!, variable);
  return [...byName.values()];
}

/** What an image says is of whatever type. */
function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
