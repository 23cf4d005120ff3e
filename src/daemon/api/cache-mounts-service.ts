import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type {
  CacheMounts as CacheMountsApi,
  TransferCacheMountsRequest,
} from '../../api/gen/kiln_cache_mounts_pb.js';
import { goJson } from '../../base/json/go-json.ts';
import type { CacheMounts } from '../../cache-mounts/cache-mounts.ts';
import { isSelected, type MountSelection, namesMount } from '../../cache-mounts/mount-place.ts';
import { descriptorToJson } from '../../oci/manifest.ts';

/** Kiln's own API to cache mounts. */
export function cacheMountsService(mounts: CacheMounts): ServiceImpl<typeof CacheMountsApi> {
  return {
    list() {
      return {
        mounts: mounts.list().map(({ id, createdAt, lastUsedAt, size, inUse }) => ({
          id,
          createdAt: timestampFromDate(createdAt),
          lastUsedAt: lastUsedAt && timestampFromDate(lastUsedAt),
          size: size === undefined ? undefined : BigInt(size),
          inUse,
        })),
      };
    },

    async remove({ id }) {
      await mounts.remove(id);
      return {};
    },

    async export(request, { signal }) {
      const place = mounts.openPlace(request.type, request.attributes, 'export');
      const access = { signal, sessions: [request.session].filter(Boolean) };
      const { exported, skipped, sent, manifest } = await mounts.export(place, selectionOf(request), access);
      return {
        exported: [...exported],
        skipped: [...skipped],
        sent: BigInt(sent),
        manifest: manifest ? goJson(descriptorToJson(manifest)) : '',
      };
    },

    async import(request, { signal }) {
      const place = mounts.openPlace(request.type, request.attributes, 'import');
      const access = { signal, sessions: [request.session].filter(Boolean) };
      const placed = await mounts.read(place, access);
      const selection = selectionOf(request);
      const imported: string[] = [];
      const newer: string[] = [];
      for (const mount of placed?.mounts ?? []) {
        if (!isSelected(selection, mount.id)) continue;
        const outcome = await mounts.import(placed!, mount, access);
        (outcome === 'imported' ? imported : newer).push(mount.id);
      }
      const found = [...imported, ...newer];
      const missing = request.ids.filter((name) => !found.some((id) => namesMount(name, id)));
      return { imported, newer, missing };
    },
  };
}

function selectionOf({ ids }: TransferCacheMountsRequest): MountSelection {
  return ids.length === 0 ? 'all' : new Set(ids);
}
