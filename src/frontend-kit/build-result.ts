import { KilnError } from '../base/errors.ts';
import type { Platform } from '../base/platform.ts';
import {
  emptyImage,
  historyEntry,
  type ImageDraft,
  withDefaultPath,
} from '../frontend/dockerfile/to-llb/values/image-draft.ts';
import type { FrontendResult } from '../frontend/frontend.ts';
import { State } from '../llb/llb.ts';
import type { Healthcheck } from '../oci/image-config.ts';
import type { BaseImage } from './base-image.ts';

/**
 * What a frontend's function gives: the files of an image that runs as its state says, an image with more settings, files only, or what another
 * frontend gave.
 */
export type BuildResult = State | ContainerImage | Directory | CalledFrontend;

/** Settings of containers of the image. Those that are left out are the state's, then the base's. */
export interface ImageSettings {
  /** The image that was built on: what it says holds where nothing else does, and its history comes first. */
  readonly base?: BaseImage;
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  /** Added to those of the base. */
  readonly labels?: Readonly<Record<string, string>>;
  /** `8080/tcp`; added to those of the base. */
  readonly exposedPorts?: readonly string[];
  /** Added to those of the base. */
  readonly volumes?: readonly string[];
  readonly stopSignal?: string;
  readonly healthcheck?: Healthcheck;
  readonly shell?: readonly string[];
  /** A mark for Windows, which Dockerfiles set also elsewhere: images that are to be the same need it. */
  readonly argsEscaped?: boolean;
  readonly author?: string;
  /** A line for each layer above the base's, and lines of what made none. Exporters add what is missing. */
  readonly history?: readonly HistoryLine[];
}

export interface HistoryLine {
  readonly createdBy: string;
  readonly comment?: string;
  readonly emptyLayer?: boolean;
}

/** An image: files, and how containers of it run. */
export class ContainerImage {
  readonly state: State;
  readonly settings: ImageSettings;

  constructor(state: State, settings: ImageSettings) {
    this.state = state;
    this.settings = settings;
    Object.freeze(this);
  }
}

/** Files that are not meant to be run: programs to be copied out, a site, a report. */
export class Directory {
  readonly state: State;

  constructor(state: State) {
    this.state = state;
    Object.freeze(this);
  }
}

/** What came of asking another frontend. */
export class CalledFrontend {
  readonly name: string;
  readonly answer: FrontendResult;

  constructor(name: string, answer: FrontendResult) {
    this.name = name;
    this.answer = answer;
    Object.freeze(this);
  }
}

/** An image of these files. Environment, working directory and user are the state's. */
export function containerImage(state: State, settings: ImageSettings = {}): ContainerImage {
  return new ContainerImage(checked(state, 'containerImage'), settings);
}

/** These files, without a config of an image. */
export function directory(state: State): Directory {
  return new Directory(checked(state, 'directory'));
}

function checked(state: unknown, name: string): State {
  if (state instanceof State) return state;
  throw new KilnError('invalid_argument', `${name}() was given ${described(state)}, and expects a state`, {
    hint: 'the result of run() has its files in `.root`',
  });
}

const results = [State, ContainerImage, Directory, CalledFrontend] as const;

/** The result, if it is one. Throws `invalid_argument` with `what` as the subject. */
export function checkResult(value: unknown, what: string): BuildResult {
  for (const kind of results) if (value instanceof kind) return value;
  const isRun = (value as { readonly root?: unknown } | null | undefined)?.root instanceof State;
  throw new KilnError(
    'invalid_argument',
    `${what} returned ${described(value)}; expected a state, containerImage(state, …) or directory(state)`,
    { hint: isRun ? 'the result of run() has its files in `.root`' : undefined },
  );
}

/** What kind of value it is, in a few words. */
export function described(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object') return `a ${typeof value}`;
  const { name } = (value as { readonly constructor?: { readonly name?: unknown } }).constructor ?? {};
  return typeof name === 'string' && name !== '' && name !== 'Object'
    ? `a value of class ${name.slice(0, 100)}`
    : 'an object';
}

/** The files of a result. */
export function stateOf(result: State | ContainerImage | Directory): State {
  return result instanceof State ? result : result.state;
}

/** The config of the image; undefined for a directory. `labels` are the client's and win; `epoch` in seconds since 1970. */
export function imageOf(
  result: State | ContainerImage | Directory,
  platform: Platform,
  labels: Readonly<Record<string, string>>,
  epoch: number | undefined,
): ImageDraft | undefined {
  if (result instanceof Directory) return undefined;
  const { state, settings } =
    result instanceof State ? { state: result, settings: {} as ImageSettings } : result;
  const { env, dir, user } = state.settings;
  const start = settings.base?.draft ?? { ...emptyImage(platform), config: {} };
  const { config } = start;
  const set = (names: readonly string[] = []) => Object.fromEntries(names.map((name) => [name, {}]));
  // A command is one for an entry point: that of the base does not fit to another one.
  const cmd = settings.cmd ?? (settings.entrypoint ? undefined : config.Cmd);
  return withDefaultPath({
    ...start,
    author: settings.author ?? start.author,
    config: {
      ...config,
      Env: [...env].map(([name, value]) => `${name}=${value}`),
      WorkingDir: dir,
      User: user,
      Entrypoint: settings.entrypoint ?? config.Entrypoint,
      Cmd: cmd,
      Labels: { ...config.Labels, ...settings.labels, ...labels },
      ExposedPorts: { ...config.ExposedPorts, ...set(settings.exposedPorts) },
      Volumes: { ...config.Volumes, ...set(settings.volumes) },
      StopSignal: settings.stopSignal ?? config.StopSignal,
      Healthcheck: settings.healthcheck ?? config.Healthcheck,
      Shell: settings.shell ?? config.Shell,
      ArgsEscaped: settings.argsEscaped ?? config.ArgsEscaped,
    },
    history: [
      ...start.history,
      ...(settings.history ?? []).map(({ createdBy, comment, emptyLayer }) => ({
        ...historyEntry(createdBy, !emptyLayer, epoch),
        comment,
      })),
    ],
  });
}
