import { create } from '@bufbuild/protobuf';
import {
  type BuildkitVersion,
  BuildkitVersionSchema,
  type WorkerRecord,
  WorkerRecordSchema,
} from '../../api/gen/worker_pb.js';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { buildkitVersion, dockerfileVersion } from '../../base/version.ts';
import type { Device } from '../../executor/cdi/device-spec.ts';
import type { RunnablePlatforms } from '../../executor/emulation/runnable-platforms.ts';
import type { GcPolicy } from '../config/gc-policy.ts';

/** The one worker of this daemon, as clients see it. */
export class WorkerDescription {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Those that the daemon was configured with; the first is that of ops which name none. */
  readonly platforms: readonly Platform[];
  readonly #runnable: RunnablePlatforms;
  readonly #policies: readonly GcPolicy[];
  readonly version: BuildkitVersion;

  constructor(worker: {
    readonly id: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly platforms: readonly Platform[];
    readonly runnable: RunnablePlatforms;
    readonly policies: readonly GcPolicy[];
    readonly version: string;
  }) {
    this.id = worker.id;
    this.labels = worker.labels;
    this.platforms = worker.platforms;
    this.#runnable = worker.runnable;
    this.#policies = worker.policies;
    this.version = create(BuildkitVersionSchema, {
      package: 'kiln',
      version: `v${buildkitVersion}+kiln.${worker.version}`,
      revision: '',
      dockerfileVersion,
    });
  }

  /**
   * With the configured platforms first, then the others that run here: those that run now, or, without a wait, those that ran when somebody
   * last looked. `devices` are those that exist now.
   */
  async record(answer: 'current' | 'last', devices: readonly Device[] = []): Promise<WorkerRecord> {
    const runnable = await this.#runnable.list(answer);
    const named = new Set(this.platforms.map(formatPlatform));
    const platforms = [
      ...this.platforms,
      ...runnable.filter((platform) => !named.has(formatPlatform(platform))),
    ];
    return create(WorkerRecordSchema, {
      id: this.id,
      labels: { ...this.labels },
      platforms: platforms.map((platform) => ({
        os: platform.os,
        architecture: platform.architecture,
        variant: platform.variant ?? '',
        osVersion: platform.osVersion ?? '',
        osFeatures: [...(platform.osFeatures ?? [])],
      })),
      gcPolicies: this.#policies.map((policy) => ({
        all: policy.all,
        keepDuration: BigInt(policy.keepDuration) * 1_000_000n,
        reservedSpace: BigInt(policy.reservedSpace),
        maxUsedSpace: BigInt(policy.maxUsedSpace),
        minFreeSpace: BigInt(policy.minFreeSpace),
        filters: [...policy.filters],
      })),
      version: this.version,
      devices: devices.map(({ name, autoAllowed, annotations }) => ({
        name,
        autoAllow: autoAllowed,
        annotations: { ...annotations },
      })),
    });
  }
}
