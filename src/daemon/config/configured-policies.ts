import type { DiskSpace, GcConfig } from './daemon-config.ts';
import { defaultLimits, defaultPolicies, type GcPolicy } from './gc-policy.ts';

/** The configured rules in bytes, or the default ones, for a disk of `total` bytes. None when collection is off. */
export function configuredPolicies(gc: GcConfig, total: number): readonly GcPolicy[] {
  if (!gc.enabled) return [];
  const bytes = (space: DiskSpace | undefined, otherwise: number): number => {
    if (!space) return otherwise;
    return space.kind === 'bytes' ? space.bytes : Math.round((total * space.percentage) / 100);
  };
  if (gc.policies) {
    return gc.policies.map((rule) => ({
      ...rule,
      reservedSpace: bytes(rule.reservedSpace, 0),
      maxUsedSpace: bytes(rule.maxUsedSpace, 0),
      minFreeSpace: bytes(rule.minFreeSpace, 0),
    }));
  }
  const configured = gc.reservedSpace || gc.maxUsedSpace || gc.minFreeSpace;
  const limits = configured ? { reservedSpace: 0, maxUsedSpace: 0, minFreeSpace: 0 } : defaultLimits(total);
  return defaultPolicies({
    reservedSpace: Math.round(bytes(gc.reservedSpace, limits.reservedSpace)),
    maxUsedSpace: Math.round(bytes(gc.maxUsedSpace, limits.maxUsedSpace)),
    minFreeSpace: Math.round(bytes(gc.minFreeSpace, limits.minFreeSpace)),
  });
}
