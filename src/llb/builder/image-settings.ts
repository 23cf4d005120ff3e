import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import { cutPair } from '../../base/text/cut-pair.ts';
import { parseImageConfig } from '../../oci/image-config.ts';

/** What processes have from the image that they run in. */
export interface ImageSettings {
  readonly env: readonly (readonly [string, string])[];
  /** Empty when the config names none. */
  readonly dir: string;
  readonly platform?: Platform;
}

/** Reads an image's config. Throws `invalid_argument`. */
export function imageSettings(bytes: Uint8Array): ImageSettings {
  const what = 'the config of the image';
  const { config, platform } = parseImageConfig(bytes, what);
  const { Env: env = [], WorkingDir: dir = '' }: { readonly Env?: unknown; readonly WorkingDir?: unknown } =
    config;
  const given = env ?? [];
  if (!Array.isArray(given) || !given.every((each) => typeof each === 'string')) {
    throw new KilnError('invalid_argument', `${what}: its Env is not a list of texts`);
  }
  if (typeof dir !== 'string') {
    throw new KilnError('invalid_argument', `${what}: its WorkingDir is not a text`);
  }
  return {
    env: given.map((each: string) => cutPair(each) ?? ([each, ''] as const)).filter(([name]) => name !== ''),
    dir,
    ...(platform && { platform }),
  };
}
