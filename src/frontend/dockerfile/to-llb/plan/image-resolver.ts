import { formatPlatform } from '../../../../base/platform.ts';
import type { Bridge, ResolvedImage, ResolveImageOptions } from '../../../frontend.ts';

/** Image configs for one request: the same image for the same platform is asked for once, however many stages name it. */
export class ImageResolver {
  readonly #bridge: Bridge;
  readonly #resolved = new Map<string, Promise<ResolvedImage>>();

  constructor(bridge: Bridge) {
    this.#bridge = bridge;
  }

  resolve(ref: string, options: ResolveImageOptions): Promise<ResolvedImage> {
    const key = JSON.stringify([
      ref,
      formatPlatform(options.platform),
      options.resolveMode,
      options.ociLayout,
    ]);
    const known = this.#resolved.get(key);
    if (known) return known;
    const resolving = this.#bridge.resolveImageConfig(ref, options);
    this.#resolved.set(key, resolving);
    return resolving;
  }
}
