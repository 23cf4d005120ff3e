import { unixPath } from '../../../../base/default-path.ts';
import { goJson, sortedMap } from '../../../../base/json/go-json.ts';
import type { Platform } from '../../../../base/platform.ts';
import {
  type ContainerConfig,
  type HistoryEntry,
  type ImageConfig,
  parseImageConfig,
} from '../../../../oci/image-config.ts';
import { platformToJson } from '../../../../oci/platform-json.ts';

/** An image config as stages build it up. Immutable. Undefined fields are inherited or left out. */
export type ImageDraft = Omit<ImageConfig, 'created' | 'platform'> & { readonly platform: Platform };

/** The config of an image that starts from nothing. */
export function emptyImage(platform: Platform): ImageDraft {
  return {
    platform,
    config: { WorkingDir: '/', ...(platform.os !== 'windows' && { Env: [`PATH=${unixPath}`] }) },
    diffIds: [],
    history: [],
  };
}

/** The config of a base image; `fallback` when it does not say for which platform it is. */
export function baseImage(config: Uint8Array, ref: string, fallback: Platform): ImageDraft {
  const { created: _, platform = fallback, ...rest } = parseImageConfig(config, `the config of image ${ref}`);
  return { ...rest, platform };
}

/** Every image has a `PATH`, except on Windows, which has its own. */
export function withDefaultPath(image: ImageDraft): ImageDraft {
  const { Env = [] } = image.config;
  if (image.platform.os === 'windows' || Env.some((entry) => entry.startsWith('PATH='))) return image;
  return withConfig(image, { Env: [...Env, `PATH=${unixPath}`] });
}

export function withConfig(image: ImageDraft, config: ContainerConfig): ImageDraft {
  return { ...image, config: { ...image.config, ...config } };
}

/** A line of history, marked as this frontend's. `epoch` in seconds since 1970. */
export function historyEntry(createdBy: string, layer: boolean, epoch: number | undefined): HistoryEntry {
  return {
    ...(epoch !== undefined && { created: goTime(epoch) }),
    created_by: createdBy,
    comment: 'buildkit.dockerfile.v0',
    ...(!layer && { empty_layer: true }),
  };
}

/** The JSON document, with fields in the order in which Docker writes them, and without empty ones. */
export function writeImage(image: ImageDraft): Uint8Array {
  const { config } = image;
  const list = (items: readonly string[] | undefined) => (items?.length ? items : undefined);
  const text = (value: string | undefined) => value || undefined;
  return Buffer.from(
    goJson({
      author: text(image.author),
      ...platformToJson(image.platform),
      config: {
        User: text(config.User),
        ExposedPorts: sortedSet(config.ExposedPorts),
        Env: list(config.Env),
        Entrypoint: list(config.Entrypoint),
        Cmd: list(config.Cmd),
        Volumes: sortedSet(config.Volumes),
        WorkingDir: text(config.WorkingDir),
        Labels: sortedMap(config.Labels),
        StopSignal: text(config.StopSignal),
        ArgsEscaped: config.ArgsEscaped || undefined,
        Healthcheck: config.Healthcheck && {
          Test: list(config.Healthcheck.Test),
          Interval: config.Healthcheck.Interval || undefined,
          Timeout: config.Healthcheck.Timeout || undefined,
          StartPeriod: config.Healthcheck.StartPeriod || undefined,
          StartInterval: config.Healthcheck.StartInterval || undefined,
          Retries: config.Healthcheck.Retries || undefined,
        },
        OnBuild: list(config.OnBuild),
        Shell: list(config.Shell),
      },
      rootfs: { type: 'layers', diff_ids: image.diffIds.length > 0 ? image.diffIds : null },
      history: image.history.length > 0 ? image.history : undefined,
    }),
  );
}

function sortedSet(set: Readonly<Record<string, object>> | undefined): Record<string, object> | undefined {
  const keys = Object.keys(set ?? {}).sort();
  return keys.length > 0 ? Object.fromEntries(keys.map((key) => [key, {}])) : undefined;
}

/** RFC 3339 without fractions, in UTC. */
function goTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
