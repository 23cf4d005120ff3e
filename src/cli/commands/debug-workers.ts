import { createClient } from '@connectrpc/connect';
import { Control } from '../../api/gen/control_pb.js';
import type { CDIDevice, GCPolicy, WorkerRecord } from '../../api/gen/worker_pb.js';
import { formatPlatform } from '../../base/platform.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { parseFormat } from '../options/values/parse-format.ts';
import { formatBytes } from '../progress/format-bytes.ts';
import { formatTable } from '../table.ts';

export interface WorkersFlags {
  readonly filter: readonly string[];
  readonly verbose?: boolean;
  readonly format?: string;
}

/** `kiln debug workers`: what executes the steps, and for which platforms. */
export async function debugWorkers(flags: WorkersFlags, context: CommandContext): Promise<void> {
  const { stdout, signal } = context;
  const format = parseFormat(flags.format);
  await using connection = await connect(context);
  const control = createClient(Control, connection.transport);
  const { records } = await control.listWorkers({ filters: [...flags.filter] }, { signal });
  if (format === 'json') stdout.write(`${JSON.stringify(records.map(workerJson))}\n`);
  else if (flags.verbose) stdout.write(records.map(workerDetails).join(''));
  else {
    const rows = records.map((worker) => [worker.id, platformsOf(worker).join(',')]);
    stdout.write(formatTable([['ID', 'PLATFORMS'], ...rows]));
  }
}

function platformsOf(worker: WorkerRecord): readonly string[] {
  return worker.platforms.map((platform) => formatPlatform({ ...platform, osVersion: undefined }));
}

function workerDetails(worker: WorkerRecord): string {
  const { version } = worker;
  return formatTable([
    ['ID:', worker.id],
    ['Platforms:', platformsOf(worker).join(',')],
    ['BuildKit:', [version?.package, version?.version, version?.revision].filter(Boolean).join(' ')],
    ...(version?.dockerfileVersion ? [['Dockerfile:', version.dockerfileVersion]] : []),
    ['Labels:'],
    ...Object.keys(worker.labels)
      .sort()
      .map((key) => [`  ${key}:`, worker.labels[key]!]),
    ...(worker.devices.length > 0 ? [['Devices:'], ...worker.devices.flatMap(deviceRows)] : []),
    ...worker.gcPolicies.flatMap(policyRows),
    [],
  ]);
}

function deviceRows({ name, autoAllow, onDemand, annotations }: CDIDevice): string[][] {
  return [
    ['  Name:', name],
    onDemand ? ['  OnDemand:', 'true'] : ['  AutoAllow:', String(autoAllow)],
    ...Object.keys(annotations)
      .sort()
      .map((key) => ['  Annotations:', `${key}: ${annotations[key]}`]),
  ];
}

function policyRows(policy: GCPolicy, index: number): string[][] {
  const size = (title: string, bytes: bigint) => (bytes > 0n ? [[title, formatBytes(Number(bytes))]] : []);
  return [
    [`GC Policy rule#${index}:`],
    ['  All:', String(policy.all)],
    ...(policy.filters.length > 0 ? [['  Filters:', policy.filters.join(' ')]] : []),
    ...(policy.keepDuration > 0n ? [['  Keep duration:', `${Number(policy.keepDuration) / 1e9}s`]] : []),
    ...size('  Reserved space:', policy.reservedSpace),
    ...size('  Minimum free space:', policy.minFreeSpace),
    ...size('  Maximum used space:', policy.maxUsedSpace),
  ];
}

function workerJson(worker: WorkerRecord): object {
  return {
    id: worker.id,
    labels: worker.labels,
    platforms: worker.platforms.map(({ architecture, os, variant }) => ({
      architecture,
      os,
      variant: variant || undefined,
    })),
    gcPolicy: worker.gcPolicies.map((policy) => ({
      all: policy.all,
      filter: policy.filters,
      keepDuration: Number(policy.keepDuration),
      reservedSpace: Number(policy.reservedSpace),
      maxUsedSpace: Number(policy.maxUsedSpace),
      minFreeSpace: Number(policy.minFreeSpace),
    })),
    buildkitVersion: {
      package: worker.version?.package ?? '',
      version: worker.version?.version ?? '',
      revision: worker.version?.revision ?? '',
      dockerfileVersion: worker.version?.dockerfileVersion || undefined,
    },
    cdiDevices:
      worker.devices.length > 0
        ? worker.devices.map(({ name, autoAllow, annotations, onDemand }) => ({
            name,
            autoAllow,
            annotations,
            onDemand,
          }))
        : null,
  };
}
