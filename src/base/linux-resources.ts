/** cgroup limits of one step. `memory` and `memorySwap` in bytes, periods and quotas in microseconds; 0 or empty: no limit. */
export interface LinuxResources {
  readonly memory: number;
  readonly memorySwap: number;
  readonly cpuShares: number;
  readonly cpuPeriod: number;
  readonly cpuQuota: number;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
}
