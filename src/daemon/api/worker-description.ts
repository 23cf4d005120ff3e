import { create } from '@bufbuild/protobuf';
import {
  type BuildkitVersion,
  BuildkitVersionSchema,
  type WorkerRecord,
  WorkerRecordSchema,
} from '../../api/gen/worker_pb.js';
import type { Platform } from '../../base/platform.ts';
import type { Device } from '../../executor/cdi/device-spec.ts';
import type { GcPolicy } from '../config/gc-policy.ts';

/** The one worker of this daemon, as clients see it. */
export class WorkerDescription {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly platforms: readonly Platform[];
  readonly #policies: readonly GcPolicy[];
  readonly version: BuildkitVersion;

  constructor(worker: {
    readonly id: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly platforms: readonly Platform[];
    readonly policies: readonly GcPolicy[];
    readonly version: string;
  }) {
    this.id = worker.id;
    this.labels = worker.labels;
    this.platforms = worker.platforms;
    this.#policies = worker.policies;
    this.version = create(BuildkitVersionSchema, {
      package: 'kiln',
      version: `v${worker.version}`,
      revision: '',
      dockerfileVersion: '1.26.0',
    });
  }

  /** `devices` are those that exist now. */
  record(devices: readonly Device[] = []): WorkerRecord {
    return create(WorkerRecordSchema, {
      id: this.id,
      labels: { ...this.labels },
      platforms: this.platforms.map((platform) => ({
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
