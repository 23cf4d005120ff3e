import { KilnError } from '../../base/errors.ts';
import { canonicalText } from '../../base/text/canonical.ts';
import type { CacheMounts } from '../../cache-mounts/cache-mounts.ts';
import { encodeInlineRecords } from '../../remote-cache/config/encode-cache-config.ts';
import { inlineRecords } from '../../remote-cache/export/cache-contents.ts';
import type { CacheExport } from '../../remote-cache/export/cache-export.ts';
import { type BuiltResult, collectRecords } from '../../remote-cache/export/collect-records.ts';
import type { RemoteCaches } from '../../remote-cache/remote-caches.ts';
import { type MountsToExport, openMountExports } from './mount-exports.ts';

/** A cache to import or to export to, as a client names it. */
export interface CacheRequest {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** The exports of one build. */
export interface CacheExports {
  readonly exports: readonly CacheExport[];
  readonly mounts: readonly MountsToExport[];
  /** Puts a cache into images. */
  readonly inline: boolean;
}

/** Throws `invalid_argument`, also for two exports to the same place. */
export function openCacheExports(
  requests: readonly CacheRequest[],
  caches: RemoteCaches,
  mounts: CacheMounts,
): CacheExports {
  const remote = requests.filter(({ type }) => type !== 'inline');
  const seen = new Set<string>();
  const duplicates = remote.filter(({ type, attrs }) => {
    const place = type === 'registry' && attrs.ref ? attrs.ref : canonicalText([type, attrs]);
    return seen.has(place) || !seen.add(place);
  });
  if (duplicates.length > 0) {
    const types = duplicates.map(({ type }) => type).join(' ');
    throw new KilnError('invalid_argument', `duplicate cache exports [${types}]`);
  }
  const open = ({ type, attrs }: CacheRequest) => {
    try {
      return caches.openExport(type, attrs);
    } catch (error) {
      if (error instanceof KilnError && !error.message.startsWith('unknown cache exporter'))
        throw error.wrap(`failed to configure ${type} cache exporter`);
      throw error;
    }
  };
  return {
    exports: remote.map(open),
    mounts: openMountExports(requests, mounts),
    inline: remote.length < requests.length,
  };
}

/** The cache of a result, for the config of its image; undefined when there is nothing to find in it. */
export async function inlineCache(result: BuiltResult, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const { ref } = result;
  if (!ref) return undefined;
  await using held = new AsyncDisposableStack();
  const records = await collectRecords([result], 'min', (each) => held.defer(() => each.release()), signal);
  const inline = inlineRecords(records, ref);
  return inline.some(({ results }) => results.length > 0) ? encodeInlineRecords(inline) : undefined;
}
