import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { temporaryDirectories } from '../../base/testing/temporary-directories.ts';
import { resolvConf, serversOfHostOnly } from './resolv-conf.ts';

const newDirectory = temporaryDirectories();
const written = (text: string): string => {
  const file = path.join(newDirectory(), 'resolv.conf');
  writeFileSync(file, text);
  return file;
};
const mixed = 'nameserver 127.0.0.1\nnameserver 192.0.2.53\nsearch a b\noptions ndots:2\n# words\n';

test('on the network of the host all its servers stay, and elsewhere those that are elsewhere', () => {
  const file = written(mixed);
  assert.equal(
    resolvConf({ onHost: true, file }),
    'nameserver 127.0.0.1\nnameserver 192.0.2.53\nsearch a b\noptions ndots:2\n',
  );
  assert.equal(resolvConf({ onHost: false, file }), 'nameserver 192.0.2.53\nsearch a b\noptions ndots:2\n');
  assert.deepEqual(serversOfHostOnly({ file }), []);
});

test('servers that only the host reaches are named, and a relay takes their place', () => {
  const file = written('nameserver ::1\nnameserver 127.0.0.1\ndomain a\n');
  assert.deepEqual(serversOfHostOnly({ file }), ['::1', '127.0.0.1']);
  assert.equal(resolvConf({ onHost: false, file, relay: '127.0.0.11' }), 'nameserver 127.0.0.11\nsearch a\n');
});

test('servers of the configuration go before all others', () => {
  const file = written('nameserver 127.0.0.1\n');
  const dns = { nameservers: ['192.0.2.1'], searchDomains: [], options: [] };
  assert.deepEqual(serversOfHostOnly({ dns, file }), []);
  assert.equal(resolvConf({ onHost: false, dns, file }), 'nameserver 192.0.2.1\n');
});

test('without any server public ones are asked', () => {
  assert.match(resolvConf({ onHost: false, file: '/no/such/file' }), /^nameserver 8\.8\.8\.8\n/);
  assert.deepEqual(serversOfHostOnly({ file: '/no/such/file' }), []);
});
