import { booleanAttribute } from '../base/text/attributes.ts';
import { addToLayoutIndex, type LayoutName } from './layout-index.ts';
import { mountsTag } from './mounts-digest.ts';
import { resetLayout } from './reset-layout.ts';
import type { SolveRequest } from './solve-request.ts';

const imageDescriptor = 'containerimage.descriptor';
const imageNames = 'image.name';
const cacheManifest = 'cache.manifest';
const cacheMounts = 'cache.mounts';

/** Enters what was exported into local OCI layouts (images, and caches of type `local`) into their indexes. */
export async function recordLayouts(
  request: SolveRequest,
  response: Readonly<Record<string, string>>,
): Promise<void> {
  const manifest = response[cacheManifest];
  const mounts = response[cacheMounts];
  for (const cache of request.cacheExports) {
    const { dest, tag = 'latest', mounts: wanted } = cache.attributes;
    if (cache.type !== 'local' || !dest) continue;
    if (wanted !== undefined && mounts) {
      await addToLayoutIndex(dest, JSON.parse(mounts), [{ kind: 'tag', tag: mountsTag(cache) }]);
    }
    if (!manifest) continue;
    await addToLayoutIndex(dest, JSON.parse(manifest), [{ kind: 'tag', tag }]);
    if (booleanAttribute(cache.attributes, 'reset')) await resetLayout(dest);
  }
  const image = response[imageDescriptor];
  for (const output of request.outputs) {
    if (output.kind !== 'layout' || !image) continue;
    const names = response[imageNames]?.split(',').map((name): LayoutName => ({ kind: 'image', name }));
    const descriptor = JSON.parse(Buffer.from(image, 'base64').toString());
    await addToLayoutIndex(output.path, descriptor, names ?? [{ kind: 'tag', tag: 'latest' }]);
  }
}
