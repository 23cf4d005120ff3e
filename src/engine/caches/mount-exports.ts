import { goJson } from '../../base/json/go-json.ts';
import type { ProgressWriter } from '../../base/progress.ts';
import { type Attributes, booleanAttribute } from '../../base/text/attributes.ts';
import type { CacheMounts, MountPlace } from '../../cache-mounts/cache-mounts.ts';
import { type MountSelection, parseMountSelection } from '../../cache-mounts/mount-place.ts';
import { descriptorToJson } from '../../oci/manifest.ts';
import type { CacheAccess } from '../../remote-cache/cache-backend.ts';

/** What goes to the place beside an exported cache: its option `mounts`. */
export interface MountsToExport {
  /** The line in the progress. */
  readonly name: string;
  /** A failure is no failure of the build. */
  readonly ignoreError: boolean;
  readonly place: MountPlace;
  readonly selection: MountSelection;
}

/** Throws `invalid_argument`. */
export function openMountExports(
  requests: readonly { readonly type: string; readonly attrs: Attributes }[],
  mounts: CacheMounts,
): readonly MountsToExport[] {
  return requests.flatMap(({ type, attrs }) => {
    const selection = parseMountSelection(attrs);
    if (!selection) return [];
    const place = mounts.openPlace(type, attrs, 'export');
    const ignoreError = booleanAttribute(attrs, 'ignore-error') ?? false;
    return [{ name: `exporting cache mounts to ${place.writer!.place}`, ignoreError, place, selection }];
  });
}

/** Returns what the client is told (`cache.mounts`). */
export async function exportMounts(
  { place, selection }: MountsToExport,
  mounts: CacheMounts,
  progress: ProgressWriter,
  access: CacheAccess,
): Promise<Readonly<Record<string, string>>> {
  const { manifest, skipped } = await mounts.export(place, selection, access);
  for (const id of skipped) {
    progress.warn({
      level: 1,
      short: `cache mount ${id} is not exported: it is not here, or a step has it alone`,
    });
  }
  return manifest ? { 'cache.mounts': goJson(descriptorToJson(manifest)) } : {};
}
