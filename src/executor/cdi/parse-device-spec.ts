import {
  type ContainerEdits,
  type DeviceMount,
  type DeviceNode,
  type Hook,
  hookNames,
  type IntelRdt,
} from './container-edits.ts';
import { isDeviceName, isKind } from './device-name.ts';
import type { DeviceSpec, SpecDevice } from './device-spec.ts';
import { SpecFields } from './spec-fields.ts';
import { versionFault } from './spec-version.ts';

/** Reads what a CDI file says, already taken out of its JSON or YAML. Throws `invalid_argument` naming the field. */
export function parseDeviceSpec(value: unknown): DeviceSpec {
  return new SpecFields('spec', value).read((fields) => {
    const spec: DeviceSpec = {
      version: fields.required('cdiVersion'),
      kind: fields.required('kind'),
      annotations: annotations(fields),
      devices: fields.objects('devices', specDevice),
      edits:
        fields.object('containerEdits', containerEdits) ?? new SpecFields('spec', {}).read(containerEdits),
    };
    if (!isKind(spec.kind)) throw fields.fault(`kind ${JSON.stringify(spec.kind)} is not vendor/class`);
    if (spec.devices.length === 0) throw fields.fault('it has no devices');
    const names = spec.devices.map(({ name }) => name);
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined) throw fields.fault(`there are two devices ${twice}`);
    const fault = versionFault(spec);
    if (fault !== undefined) throw fields.fault(fault);
    return spec;
  });
}

function annotations(fields: SpecFields): Readonly<Record<string, string>> {
  return fields.object('annotations', (each) => each.allTexts()) ?? {};
}

function specDevice(fields: SpecFields): SpecDevice {
  const device: SpecDevice = {
    name: fields.required('name'),
    annotations: annotations(fields),
    edits: fields.object('containerEdits', containerEdits) ?? new SpecFields('', {}).read(containerEdits),
  };
  if (!isDeviceName(device.name))
    throw fields.fault(`${JSON.stringify(device.name)} cannot be the name of a device`);
  const empty = Object.values(device.edits).every(
    (each) => each === undefined || (Array.isArray(each) && each.length === 0),
  );
  if (empty) throw fields.fault(`device ${device.name} has no containerEdits`);
  return device;
}

function containerEdits(fields: SpecFields): ContainerEdits {
  return {
    env: environment(fields),
    deviceNodes: fields.objects('deviceNodes', deviceNode),
    netDevices: fields.objects('netDevices', (each) => ({
      hostInterfaceName: each.required('hostInterfaceName'),
      name: each.required('name'),
    })),
    hooks: fields.objects('hooks', hook),
    mounts: fields.objects('mounts', deviceMount),
    intelRdt: fields.object('intelRdt', intelRdt),
    additionalGids: fields.integers('additionalGids') ?? [],
  };
}

function environment(fields: SpecFields): readonly string[] {
  const env = fields.texts('env') ?? [];
  const wrong = env.find((entry) => entry.indexOf('=') <= 0);
  if (wrong !== undefined) throw fields.fault(`env: ${JSON.stringify(wrong)} is not NAME=value`);
  return env;
}

function deviceNode(fields: SpecFields): DeviceNode {
  const node: DeviceNode = {
    path: fields.required('path'),
    hostPath: fields.text('hostPath') || undefined,
    type: fields.oneOf('type', ['b', 'c', 'u', 'p', '']) || undefined,
    major: fields.integer('major') || undefined,
    minor: fields.integer('minor'),
    fileMode: fields.integer('fileMode'),
    permissions: fields.text('permissions') || undefined,
    uid: fields.integer('uid'),
    gid: fields.integer('gid'),
  };
  if (!/^[rwm]*$/.test(node.permissions ?? ''))
    throw fields.fault(`permissions ${JSON.stringify(node.permissions)} are not of r, w and m`);
  return node;
}

function hook(fields: SpecFields): Hook {
  const hookName = fields.oneOf('hookName', hookNames);
  if (hookName === undefined) throw fields.fault('hookName is missing');
  return {
    hookName,
    path: fields.required('path'),
    args: fields.texts('args'),
    env: environment(fields),
    timeout: fields.integer('timeout'),
  };
}

function deviceMount(fields: SpecFields): DeviceMount {
  return {
    hostPath: fields.required('hostPath'),
    containerPath: fields.required('containerPath'),
    options: fields.texts('options') ?? [],
    type: fields.text('type') || undefined,
  };
}

function intelRdt(fields: SpecFields): IntelRdt {
  return {
    closID: fields.text('closID'),
    l3CacheSchema: fields.text('l3CacheSchema'),
    memBwSchema: fields.text('memBwSchema'),
    schemata: fields.texts('schemata'),
    enableMonitoring: fields.truth('enableMonitoring'),
  };
}
