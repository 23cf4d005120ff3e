import assert from 'node:assert/strict';
import test from 'node:test';
import { parseExposedPort } from './expose-ports.ts';

test('ports can be ranges and have a protocol', () => {
  assert.deepEqual(parseExposedPort('8000-8002/UDP'), {
    ports: ['8000/udp', '8001/udp', '8002/udp'],
    mapped: false,
    oddCase: true,
  });
  assert.equal(parseExposedPort('127.0.0.1:80:8080').mapped, true);
  for (const bad of ['', 'x', '70000', '9-8', '80/xyz', '1.2:3:4']) {
    assert.throws(() => parseExposedPort(bad), { code: 'invalid_argument' }, bad);
  }
});
