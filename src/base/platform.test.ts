import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPlatform, parsePlatform } from './platform.ts';

test('a platform is written as it is read', () => {
  for (const text of [
    'linux/amd64',
    'linux/arm/v6',
    'linux/arm64',
    'windows(10.0.20348)/amd64',
    'windows(10.0.20348+a+win32k)/amd64',
    'linux(+x%2Fy)/amd64',
  ]) {
    assert.equal(formatPlatform(parsePlatform(text)), text);
  }
  assert.equal(formatPlatform(parsePlatform('linux/aarch64/v8')), 'linux/arm64');
  assert.equal(formatPlatform(parsePlatform('windows(10.0.1+b+a+b)/amd64')), 'windows(10.0.1+a+b)/amd64');
});

test('what is no platform is refused', () => {
  for (const text of [
    '',
    'linux/',
    'linux/amd64/v2/x',
    'linux()x/amd64',
    'linux(%zz)/amd64',
    'linux(1++)/amd64',
    'vms',
  ]) {
    assert.throws(() => parsePlatform(text), { code: 'invalid_argument' }, text);
  }
});
