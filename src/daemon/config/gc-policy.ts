/** One rule of garbage collection: what may go, and how much of it may stay. Sizes in bytes, ages in milliseconds, 0 for no limit. */
export interface GcPolicy {
  readonly all: boolean;
  readonly filters: readonly string[];
  readonly keepDuration: number;
  readonly reservedSpace: number;
  readonly maxUsedSpace: number;
  readonly minFreeSpace: number;
}

export interface GcLimits {
  readonly reservedSpace: number;
  readonly maxUsedSpace: number;
  readonly minFreeSpace: number;
}

const day = 24 * 60 * 60 * 1000;
const gigabyte = 1e9;

/** Limits for a disk of `total` bytes when nobody configured any: BuildKit's. */
export function defaultLimits(total: number): GcLimits {
  return {
    reservedSpace: Math.min(total * 0.1, 10 * gigabyte),
    maxUsedSpace: Math.min(total * 0.8, 100 * gigabyte),
    minFreeSpace: total * 0.2,
  };
}

/** Bytes that are kept free on a disk of `total` bytes whatever the rules say: a full disk fails builds. */
export function emergencyPolicy(total: number): GcPolicy {
  return {
    all: true,
    filters: [],
    keepDuration: 0,
    reservedSpace: 0,
    maxUsedSpace: 0,
    minFreeSpace: Math.round(Math.min(total * 0.05, gigabyte)),
  };
}

/** What failed steps left goes before anything that other builds can use: rules to be run before these ones. */
export function failedStepsFirst(policies: readonly GcPolicy[]): readonly GcPolicy[] {
  return policies
    .filter(({ filters, keepDuration, maxUsedSpace, minFreeSpace }) => {
      return filters.length === 0 && keepDuration === 0 && (maxUsedSpace > 0 || minFreeSpace > 0);
    })
    .map((policy) => ({ ...policy, all: true, filters: ['type==failed.step'] }));
}

/** The rules in the order in which they run: what is easily made again goes first, the daemon's own data last. */
export function defaultPolicies(limits: GcLimits): readonly GcPolicy[] {
  const none = { reservedSpace: 0, maxUsedSpace: 0, minFreeSpace: 0 };
  return [
    {
      ...none,
      all: false,
      filters: ['type==source.local', 'type==exec.cachemount', 'type==source.git.checkout'],
      keepDuration: 2 * day,
      maxUsedSpace: 0.512 * gigabyte,
    },
    { ...limits, all: false, filters: [], keepDuration: 60 * day },
    { ...limits, all: false, filters: [], keepDuration: 0 },
    { ...limits, all: true, filters: [], keepDuration: 0 },
  ];
}
