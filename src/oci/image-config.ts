import { type Digest, isDigest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { Platform } from '../base/platform.ts';
import { platformFromJson } from './platform-json.ts';

/** How a container of an image runs: the `config` of an image config, with Docker's additions. */
export interface ContainerConfig {
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
  readonly ArgsEscaped?: boolean;
  readonly Healthcheck?: Healthcheck;
  readonly OnBuild?: readonly string[];
  readonly Shell?: readonly string[];
}

/** Durations in nanoseconds; absent means inherit. */
export interface Healthcheck {
  readonly Test?: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

/** One line of an image's history, spelled as in the document. `created` is an RFC 3339 time. */
export interface HistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

/** What is understood of an image config; the document may hold more. */
export interface ImageConfig {
  readonly created?: string;
  readonly author?: string;
  /** Undefined when the document does not say for what it is. */
  readonly platform?: Platform;
  readonly config: ContainerConfig;
  /** Digests of the uncompressed layers, bottom first. */
  readonly diffIds: readonly Digest[];
  readonly history: readonly HistoryEntry[];
}

/** Reads an image config; unknown fields are passed over. Throws `invalid_argument` with `what` in front. */
export function parseImageConfig(bytes: Uint8Array, what: string): ImageConfig {
  let json: Readonly<Record<string, unknown>>;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8')) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    throw new KilnError('invalid_argument', `${what} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new KilnError('invalid_argument', `${what} is not a JSON object`);
  }
  const rootfs = json.rootfs as { readonly diff_ids?: unknown } | undefined;
  const diffIds = Array.isArray(rootfs?.diff_ids) ? (rootfs.diff_ids as readonly unknown[]) : [];
  for (const diffId of diffIds) {
    if (typeof diffId !== 'string' || !isDigest(diffId)) {
      throw new KilnError('invalid_argument', `${what}: unsupported diff id ${JSON.stringify(diffId)}`);
    }
  }
  return {
    created: typeof json.created === 'string' ? json.created : undefined,
    author: typeof json.author === 'string' ? json.author : undefined,
    platform: platformFromJson(json),
    config: (json.config as ContainerConfig | null | undefined) ?? {},
    diffIds: diffIds as readonly Digest[],
    history: Array.isArray(json.history) ? (json.history as readonly HistoryEntry[]) : [],
  };
}
