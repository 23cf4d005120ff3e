import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyEdits, type DeviceEdits } from './apply-edits.ts';
import { noEdits } from './container-edits.ts';
import { editsOf } from './edits-of.ts';
import { parseDeviceSpec } from './parse-device-spec.ts';

const dev = { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: [] };
const hosts = { destination: '/etc/hosts', type: 'bind', source: '/h', options: ['rbind'] };
const config = {
  hostname: 'kept',
  process: { env: ['PATH=/bin', 'A=old'], cwd: '/', user: { uid: 1, additionalGids: [5] } },
  mounts: [dev, hosts],
  linux: { devices: [{ path: '/dev/fuse' }], resources: { devices: [{ allow: false }] } },
};
const apply = (edits: Partial<DeviceEdits>) =>
  applyEdits(config, { ...noEdits, deviceNodes: [], madeNodes: [], ...edits });

test('no edits change nothing', () => assert.deepEqual(apply({}), config));

test('variables replace those of the same name, and groups are there once', () => {
  const { env, user, cwd } = apply({ env: ['A=new', 'B=1'], additionalGids: [5, 0, 7] }).process;
  assert.deepEqual(env, ['PATH=/bin', 'A=new', 'B=1']);
  assert.deepEqual(user, { uid: 1, additionalGids: [5, 7] });
  assert.equal(cwd, '/');
});

test('mounts hide nothing that lies below them, and show the host unless they have a type', () => {
  const { mounts } = apply({
    mounts: [
      { hostPath: '/x/y', containerPath: '/x/y/z', options: ['ro', 'bind'] },
      { hostPath: '/e', containerPath: '/etc', options: ['ro'] },
      { hostPath: 'none', containerPath: '/t', options: ['size=1m'], type: 'tmpfs' },
    ],
  });
  assert.deepEqual(mounts, [
    dev,
    { destination: '/etc', source: '/e', type: 'bind', options: ['rbind', 'ro'] },
    { destination: '/t', source: 'none', type: 'tmpfs', options: ['size=1m'] },
    hosts,
    { destination: '/x/y/z', source: '/x/y', type: 'bind', options: ['ro', 'bind'] },
  ]);
});

test('a node may be used as told, also one that is made already; fifos need no rule', () => {
  const node = { type: 'c', major: 10, minor: 229, access: 'rw' } as const;
  const { linux } = apply({
    deviceNodes: [
      { ...node, path: '/dev/fuse' },
      { ...node, path: '/made', type: 'u' },
      { ...node, path: '/dev/fifo', type: 'p' },
    ],
    madeNodes: ['/made'],
  });
  assert.deepEqual(linux.devices, [
    { path: '/dev/fuse', type: 'c', major: 10, minor: 229 },
    { path: '/dev/fifo', type: 'p', major: 10, minor: 229 },
  ]);
  const rule = { allow: true, type: 'c', major: 10, minor: 229, access: 'rw' };
  assert.deepEqual(linux.resources.devices, [{ allow: false }, rule, rule]);
});

test('hooks, network devices and limits of the resource director go where the runtime reads them', () => {
  const edited: object = apply({
    hooks: [
      { hookName: 'createRuntime', path: '/a', args: ['a', 'b'] },
      { hookName: 'poststop', path: '/b' },
      { hookName: 'createRuntime', path: '/c', timeout: 2 },
    ],
    netDevices: [{ hostInterfaceName: 'eth9', name: 'eth0' }],
    intelRdt: { closID: 'guaranteed' },
  });
  assert.deepEqual(edited, {
    ...config,
    hooks: {
      createRuntime: [
        { path: '/a', args: ['a', 'b'] },
        { path: '/c', timeout: 2 },
      ],
      poststop: [{ path: '/b' }],
    },
    linux: { ...config.linux, netDevices: { eth9: { name: 'eth0' } }, intelRdt: { closID: 'guaranteed' } },
  });
});

test('the edits of a file come once, before those of its first device', () => {
  const spec = parseDeviceSpec({
    cdiVersion: '0.6.0',
    kind: 'a.com/x',
    containerEdits: { env: ['FILE=1'] },
    devices: ['one', 'two'].map((name) => ({ name, containerEdits: { env: [`D=${name}`] } })),
  });
  const devices = spec.devices.map(({ name, edits }) => ({
    name,
    edits,
    spec,
    annotations: {},
    autoAllowed: true,
  }));
  assert.deepEqual(editsOf(devices).env, ['FILE=1', 'D=one', 'D=two']);
});
