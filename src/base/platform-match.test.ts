import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePlatform } from './platform.ts';
import { platformScore } from './platform-match.ts';

/** Those that serve `wanted`, the best first. */
function ranked(wanted: string, candidates: readonly string[]): readonly string[] {
  const score = (text: string) => platformScore(parsePlatform(wanted), parsePlatform(text));
  return candidates.filter((text) => score(text) > 0).sort((a, b) => score(b) - score(a));
}

test('an architecture also takes its lesser variants and the 32-bit one, the closest first', () => {
  const linux = [
    'linux/386',
    'linux/amd64',
    'linux/amd64/v2',
    'linux/amd64/v3',
    'linux/amd64/v4',
    'linux/arm/v5',
    'linux/arm/v6',
    'linux/arm/v7',
    'linux/arm64',
    'linux/arm64/v8.2',
    'linux/arm64/v9',
    'linux/riscv64',
    'windows/amd64',
  ];
  assert.deepEqual(ranked('linux/amd64', linux), ['linux/amd64', 'linux/386']);
  assert.deepEqual(ranked('linux/amd64/v3', linux), [
    'linux/amd64/v3',
    'linux/amd64/v2',
    'linux/amd64',
    'linux/386',
  ]);
  assert.deepEqual(ranked('linux/arm/v6', linux), ['linux/arm/v6', 'linux/arm/v5']);
  assert.deepEqual(ranked('linux/arm64', linux), [
    'linux/arm64',
    'linux/arm/v7',
    'linux/arm/v6',
    'linux/arm/v5',
  ]);
  assert.deepEqual(ranked('linux/arm64/v9', linux).slice(0, 3), [
    'linux/arm64/v9',
    'linux/arm64/v8.2',
    'linux/arm64',
  ]);
  assert.deepEqual(ranked('linux/riscv64', linux), ['linux/riscv64']);
  assert.deepEqual(ranked('linux/386', linux), ['linux/386']);
  assert.deepEqual(ranked('linux/amd64/v99999999999999999999', linux).length, 5);
});

test('an image for Windows has to suit the version, where both are said', () => {
  const windows = (version: string) => `windows(${version})/amd64`;
  const images = ['10.0.17763.1', '10.0.20348.5', '10.0.25398.7', '10.0.26100.1'].map(windows);
  assert.deepEqual(ranked(windows('10.0.17763.999'), images), [windows('10.0.17763.1')]);
  assert.deepEqual(ranked(windows('10.0.20348.2'), images), [windows('10.0.20348.5')]);
  assert.deepEqual(ranked(windows('10.0.25398.1'), images), [
    windows('10.0.20348.5'),
    windows('10.0.25398.7'),
  ]);
  assert.deepEqual(ranked(windows('10.0.26100.9'), images).length, 3);
  assert.deepEqual(ranked('windows/amd64', images), images);
  assert.deepEqual(ranked(windows('10.0.17763'), ['windows/amd64']), ['windows/amd64']);
});

test('features of a system must be wanted, but for the one that all of Windows has', () => {
  assert.deepEqual(ranked('linux/amd64', ['linux(+sse9)/amd64']), []);
  assert.deepEqual(ranked('linux(+sse9)/amd64', ['linux/amd64', 'linux(+sse9)/amd64']), [
    'linux(+sse9)/amd64',
    'linux/amd64',
  ]);
  assert.deepEqual(ranked('windows/amd64', ['windows(10.0.17763+win32k)/amd64']).length, 1);
});
