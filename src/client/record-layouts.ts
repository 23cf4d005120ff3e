import { booleanAttribute } from '../base/text/attributes.ts';
import { addToLayoutIndex, type LayoutName } from './layout-index.ts';
import { resetLayout } from './reset-layout.ts';
import type { SolveRequest } from './solve-request.ts';

const imageDescriptor = 'containerimage.descriptor';
const imageNames = 'image.name';
const cacheManifest = 'cache.manifest';

/** Enters what was exported into local OCI layouts (images, and caches of type `local`) into their indexes. */
export async function recordLayouts(
  request: SolveRequest,
  response: Readonly<Record<string, string>>,
): Promise<void> {
  const cache = response[cacheManifest];
  for (const { type, attributes } of request.cacheExports) {
    if (type !== 'local' || !cache || !attributes.dest) continue;
    await addToLayoutIndex(attributes.dest, JSON.parse(cache), [
      { kind: 'tag', tag: attributes.tag ?? 'latest' },
    ]);
    if (booleanAttribute(attributes, 'reset')) await resetLayout(attributes.dest);
  }
  const image = response[imageDescriptor];
  for (const output of request.outputs) {
    if (output.kind !== 'layout' || !image) continue;
    const names = response[imageNames]?.split(',').map((name): LayoutName => ({ kind: 'image', name }));
    const descriptor = JSON.parse(Buffer.from(image, 'base64').toString());
    await addToLayoutIndex(output.path, descriptor, names ?? [{ kind: 'tag', tag: 'latest' }]);
  }
}
