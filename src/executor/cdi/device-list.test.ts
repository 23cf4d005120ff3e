import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import { DeviceList } from './device-list.ts';
import { parseDeviceSpec } from './parse-device-spec.ts';

const classOf = (name: string) => ({ 'org.mobyproject.buildkit.device.class': name });
const spec = parseDeviceSpec({
  cdiVersion: '0.6.0',
  kind: 'a.com/x',
  devices: [{ name: 'all', containerEdits: { env: ['A=1'] } }],
});
const device = (name: string, annotations: Readonly<Record<string, string>> = {}) => ({
  name,
  annotations,
  autoAllowed: false,
  edits: spec.edits,
  spec,
});
const list = new DeviceList([
  device('a.com/x=foo', classOf('fast')),
  device('a.com/x=bar'),
  device('a.com/xy=qux', classOf('fast')),
  device('b.com/z=one', classOf('a.com/class')),
]);
const found = (...names: string[]) =>
  list.find(names.map((name) => ({ name, optional: false }))).map(({ name }) => name);

test('a device is found by its full name', () => assert.deepEqual(found('a.com/x=foo'), ['a.com/x=foo']));

test('a kind alone is its first device by name', () => assert.deepEqual(found('a.com/x'), ['a.com/x=bar']));

test('a kind with * is all its devices', () =>
  assert.deepEqual(found('a.com/x=*'), ['a.com/x=bar', 'a.com/x=foo']));

test('a class is all devices that are annotated with it, also where it looks like a kind', () => {
  assert.deepEqual(found('fast'), ['a.com/x=foo', 'a.com/xy=qux']);
  assert.deepEqual(found('a.com/class'), ['b.com/z=one']);
});

test('a device that is found several times is there once, in the order of the requests', () =>
  assert.deepEqual(found('a.com/x=foo', 'a.com/x=*', 'fast'), [
    'a.com/x=foo',
    'a.com/x=bar',
    'a.com/xy=qux',
  ]));

test('a device that is not there is an error unless it is optional', () => {
  for (const name of ['a.com/x=none', 'a.com/none', 'none', 'a.com/x=none=*', '']) {
    assert.throws(
      () => found(name),
      (error) =>
        error instanceof KilnError &&
        error.code === 'not_found' &&
        error.message === `required device ${JSON.stringify(name)} is not registered`,
    );
    assert.deepEqual(list.find([{ name, optional: true }]), []);
  }
});
