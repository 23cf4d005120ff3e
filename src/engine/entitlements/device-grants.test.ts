import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import { DeviceList } from '../../executor/cdi/device-list.ts';
import { parseDeviceSpec } from '../../executor/cdi/parse-device-spec.ts';
import { grantedDevices, parseDeviceGrants } from './device-grants.ts';
import { parseEntitlements } from './entitlements.ts';

const spec = parseDeviceSpec({
  cdiVersion: '0.6.0',
  kind: 'a.com/x',
  devices: [{ name: 'any', containerEdits: { env: ['A=1'] } }],
});
const device = (name: string, autoAllowed = false) => ({
  name,
  annotations: {},
  autoAllowed,
  edits: spec.edits,
  spec,
});
const list = new DeviceList([device('a.com/x=one'), device('a.com/x=two'), device('a.com/free=one', true)]);
const required = (name: string) => ({ name, optional: false });
const optional = (name: string) => ({ name, optional: true });
const granted = (requests: Parameters<typeof grantedDevices>[0], ...values: string[]) =>
  grantedDevices(requests, parseDeviceGrants(values), list);
const refused = (message: string) => (error: unknown) =>
  error instanceof KilnError && error.code === 'permission_denied' && error.message === message;

test('a step gets by its full name what is granted by name, by kind or by wildcard', () => {
  assert.deepEqual(granted([required('a.com/x')], 'a.com/x=one'), [required('a.com/x=one')]);
  assert.deepEqual(granted([optional('a.com/x=one')], 'a.com/x'), [required('a.com/x=one')]);
  assert.deepEqual(granted([required('a.com/x=two')], 'a.com/x=one', 'a.com/x=*'), [required('a.com/x=two')]);
});

test('devices that allow themselves need no grant', () => {
  assert.deepEqual(granted([required('a.com/free')]), [required('a.com/free=one')]);
});

test('an optional device that is not there is as one that nobody asked for', () => {
  assert.deepEqual(granted([optional('b.com/x')]), []);
  assert.deepEqual(granted([optional('b.com/x'), required('a.com/free')]), [required('a.com/free=one')]);
});

test('one that is there but not allowed is refused, optional or not, and so is one that is required and not there', () => {
  assert.throws(
    () => granted([optional('a.com/x=one')]),
    refused('device a.com/x=one is requested by the build but not allowed'),
  );
  assert.throws(
    () => granted([required('a.com/x=*')], 'b.com/typo'),
    refused('devices a.com/x=one, a.com/x=two are requested by the build but not allowed'),
  );
  assert.throws(() => granted([required('b.com/x')]), /required device "b.com\/x" is not registered/);
});

test('an alias stands for a device that need not be granted otherwise', () => {
  assert.deepEqual(granted([required('a.com/free'), optional('gpu')], 'a.com/x=two,alias=gpu'), [
    optional('a.com/x=two'),
    required('a.com/free=one'),
  ]);
});

test('a grant of all devices lets the executor look for them', () => {
  assert.deepEqual(granted([optional('b.com/x'), required('a.com/x')], 'a.com/x=one', ''), [
    optional('b.com/x'),
    required('a.com/x'),
  ]);
});

test('grants are read with their options, and wrong ones are named', () => {
  assert.throws(() => parseDeviceGrants(['a.com/x,alias']), /invalid device config "alias"/);
  assert.throws(() => parseDeviceGrants(['a.com/x,as=b']), /unknown device config key "as"/);
});

test('entitlements for devices are of the same entitlement, with or without names', () => {
  const parsed = parseEntitlements(['device=a.com/x', 'device=a.com/y,alias=y'], ['device']);
  assert.deepEqual(parsed, {
    allowed: new Set(['device']),
    devices: { kind: 'some', names: ['a.com/x'], aliases: new Map([['y', 'a.com/y']]) },
  });
  assert.deepEqual(parseEntitlements(['device'], ['device']).devices, { kind: 'all' });
  assert.throws(
    () => parseEntitlements(['device=a.com/x'], ['network.host']),
    refused('entitlement device is not allowed by the daemon'),
  );
  assert.throws(() => parseEntitlements(['devices'], ['device']), /entitlement devices is not allowed/);
});
