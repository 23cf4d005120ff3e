import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOutput } from './parse-output.ts';

const piped = { stdoutIsTerminal: false };

test('an output is a type with attributes, a bare directory, or a dash for a tar archive', () => {
  assert.deepEqual(parseOutput('type=image,"name=a,b",Push=true', piped), {
    kind: 'engine',
    exporter: 'image',
    attributes: { name: 'a,b', push: 'true' },
  });
  assert.deepEqual(parseOutput('type=registry,name=a', piped), {
    kind: 'engine',
    exporter: 'image',
    attributes: { push: 'true', name: 'a' },
  });
  assert.deepEqual(parseOutput('type=oci,dest=out.tar', piped), {
    kind: 'file',
    exporter: 'oci',
    attributes: {},
    destination: { kind: 'path', path: 'out.tar' },
  });
  assert.deepEqual(parseOutput('type=oci,tar=false,dest=dir', piped), {
    kind: 'layout',
    exporter: 'oci',
    attributes: { tar: 'false' },
    path: 'dir',
  });
  assert.deepEqual(parseOutput('out/bin', piped), {
    kind: 'directory',
    exporter: 'local',
    attributes: {},
    path: 'out/bin',
    remove: false,
  });
  for (const text of ['-', 'type=tar', 'type=tar,dest=-']) {
    assert.deepEqual(parseOutput(text, piped), {
      kind: 'file',
      exporter: 'tar',
      attributes: {},
      destination: { kind: 'stdout' },
    });
  }
});

test('an output that cannot work is refused before anything is built', () => {
  for (const text of [
    'dest=x',
    'type=local',
    'type=image,dest=x',
    'type=oci,output=x',
    'type=oci,tar=no,dest=x',
  ]) {
    assert.throws(() => parseOutput(text, piped), { code: 'invalid_argument' }, text);
  }
  assert.throws(() => parseOutput('-', { stdoutIsTerminal: true }), { code: 'invalid_argument' });
  assert.throws(() => parseOutput('type=docker', { stdoutIsTerminal: true }), { code: 'invalid_argument' });
});
