import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import { buildCommand } from '../build-command.ts';
import { expandBooleanFlags } from './boolean-flags.ts';
import { formatLayoutReference, parseLayoutReference } from './layout-reference.ts';
import { parseExportCache, parseImportCache } from './parse-cache.ts';
import { parseOutput } from './parse-output.ts';
import { parseRegistryTls } from './parse-registry-tls.ts';
import { parseSecret } from './parse-secret.ts';
import { parseSsh } from './parse-ssh.ts';
import { parseDuration, parseMegabytes, parseSize } from './parse-values.ts';

const isInvalid = (error: unknown) => error instanceof KilnError && error.code === 'invalid_argument';
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
    assert.throws(() => parseOutput(text, piped), isInvalid, text);
  }
  assert.throws(() => parseOutput('-', { stdoutIsTerminal: true }), isInvalid);
  assert.throws(() => parseOutput('type=docker', { stdoutIsTerminal: true }), isInvalid);
});

test('remote caches are references or types with attributes', () => {
  assert.deepEqual(parseExportCache('example.test/cache', {}), {
    type: 'registry',
    attributes: { mode: 'min', ref: 'example.test/cache' },
  });
  assert.deepEqual(parseExportCache('type=local,dest=d,mode=max', {}).attributes, { dest: 'd', mode: 'max' });
  assert.deepEqual(parseImportCache('type=local,src=d', {}), { type: 'local', attributes: { src: 'd' } });
  assert.throws(() => parseImportCache('type=gha', {}), isInvalid);
  const runner = { ACTIONS_CACHE_URL: 'http://cache', ACTIONS_RUNTIME_TOKEN: 'token' };
  assert.deepEqual(parseImportCache('type=gha', runner).attributes, { url: 'http://cache', token: 'token' });
});

test('a secret is in a file or in the environment', () => {
  assert.deepEqual(parseSecret('id=a,src=/f', {}), { id: 'a', kind: 'file', path: '/f' });
  assert.deepEqual(parseSecret('id=a,env=V', {}), { id: 'a', kind: 'environment', variable: 'V' });
  assert.deepEqual(parseSecret('type=env,id=a,src=V', {}), { id: 'a', kind: 'environment', variable: 'V' });
  assert.deepEqual(parseSecret('id=a', { a: 'x' }), { id: 'a', kind: 'environment', variable: 'a' });
  assert.deepEqual(parseSecret('id=a', {}), { id: 'a', kind: 'file', path: 'a' });
  for (const text of ['src=/f', 'id=a,mode=1', 'id=a,type=vault', 'a']) {
    assert.throws(() => parseSecret(text, {}), isInvalid, text);
  }
});

test('an SSH source is an agent, keys, or one raw socket', () => {
  assert.deepEqual(parseSsh('default'), { id: 'default', paths: [], raw: false });
  assert.deepEqual(parseSsh('git=k1,k2'), { id: 'git', paths: ['k1', 'k2'], raw: false });
  assert.deepEqual(parseSsh('x=/sock,raw=true'), { id: 'x', paths: ['/sock'], raw: true });
  assert.throws(() => parseSsh('x=raw=true'), isInvalid);
});

test('TLS for registries adds up by host', () => {
  const contexts = parseRegistryTls([
    'host=https://a,ca=1',
    'host=https://a,cert=c,key=k',
    'host=b,insecure=true',
  ]);
  assert.deepEqual(contexts.get('https://a'), {
    insecure: false,
    caFiles: ['1'],
    keyPairs: [{ certificate: 'c', key: 'k' }],
  });
  assert.equal(contexts.get('b')?.insecure, true);
  for (const text of ['ca=1', 'host=a', 'host=a,ca=1,key=k'])
    assert.throws(() => parseRegistryTls([text]), isInvalid);
});

test('an OCI layout reference is taken apart from its end', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  assert.deepEqual(parseLayoutReference('oci-layout:///x/y'), {
    directory: '/x/y',
    tag: undefined,
    digest: undefined,
  });
  assert.deepEqual(parseLayoutReference(`oci-layout://a@b/c:1.3@${digest}`), {
    directory: 'a@b/c',
    tag: '1.3',
    digest,
  });
  assert.equal(parseLayoutReference('docker-image://a'), undefined);
  assert.equal(formatLayoutReference('store', { tag: 't', digest }), `oci-layout://store:t@${digest}`);
});

test('durations and sizes have units', () => {
  assert.equal(parseDuration('--d', '1h30m'), 5_400_000_000_000n);
  assert.equal(parseDuration('--d', '1.5s'), 1_500_000_000n);
  assert.equal(parseDuration('--d', '0'), 0n);
  for (const text of ['', '10', '1d', 'h', '1h 2m'])
    assert.throws(() => parseDuration('--d', text), isInvalid, text);
  assert.equal(parseSize('--s', '64m'), 64 * 1024 * 1024);
  assert.equal(parseSize('--s', '1.5k'), 1536);
  assert.equal(parseSize('--s', '2GiB'), 2 ** 31);
  assert.throws(() => parseSize('--s', '-1'), isInvalid);
  assert.equal(parseMegabytes('--m', '1.5'), 1_500_000n);
  assert.throws(() => parseMegabytes('--m', 'x'), isInvalid);
});

test('flags without a value may be given one', () => {
  const args = ['--push=true', '--no-cache=1', '--pull=false', '--target=true', '--', '--push=true'];
  assert.deepEqual(expandBooleanFlags(args, buildCommand()), [
    '--push',
    '--no-cache',
    '--target=true',
    '--',
    '--push=true',
  ]);
  assert.throws(() => expandBooleanFlags(['--push=maybe'], buildCommand()), isInvalid);
});
