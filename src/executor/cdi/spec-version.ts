import type { ContainerEdits } from './container-edits.ts';
import { parseKind } from './device-name.ts';
import type { DeviceSpec } from './device-spec.ts';

/** Released versions of the CDI specification, in order. */
const versions: readonly string[] = [
  '0.1.0',
  '0.2.0',
  '0.3.0',
  '0.4.0',
  '0.5.0',
  '0.6.0',
  '0.7.0',
  '0.8.0',
  '1.0.0',
  '1.1.0',
];

/** The first version that has what a file uses, newest first. Files of versions before 0.3.0 are not read. */
const introduced: readonly (readonly [
  string,
  (spec: DeviceSpec, edits: readonly ContainerEdits[]) => boolean,
])[] = [
  [
    '1.1.0',
    (_, all) =>
      all.some(
        ({ netDevices, intelRdt }) =>
          netDevices.length > 0 || intelRdt?.schemata !== undefined || intelRdt?.enableMonitoring,
      ),
  ],
  ['0.7.0', (_, all) => all.some(({ intelRdt, additionalGids }) => intelRdt || additionalGids.length > 0)],
  [
    '0.6.0',
    ({ kind, annotations, devices }) =>
      parseKind(kind)?.deviceClass.includes('.') ||
      [annotations, ...devices.map((device) => device.annotations)].some(
        (each) => Object.keys(each).length > 0,
      ),
  ],
  [
    '0.5.0',
    ({ devices }, all) =>
      devices.some(({ name }) => /^\d/.test(name)) ||
      all.some(({ deviceNodes }) => deviceNodes.some(({ hostPath }) => hostPath !== undefined)),
  ],
  ['0.4.0', (_, all) => all.some(({ mounts }) => mounts.some(({ type }) => type !== undefined))],
  ['0.3.0', () => true],
];

/** What is wrong with the version that a file says it is of. */
export function versionFault(spec: DeviceSpec): string | undefined {
  const known = (version: string) => versions.indexOf(version.replace(/^v/, ''));
  const version = known(spec.version);
  if (version < 0) return `invalid version ${JSON.stringify(spec.version)}`;
  const edits = [spec.edits, ...spec.devices.map((device) => device.edits)];
  const needed = introduced.find(([, uses]) => uses(spec, edits))![0];
  return version < known(needed)
    ? `cdiVersion is ${spec.version}, and what the file uses came with ${needed}`
    : undefined;
}
