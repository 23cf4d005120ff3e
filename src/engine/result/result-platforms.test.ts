import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatPlatform, parsePlatform } from '../../base/platform.ts';
import type { SolvedRef } from '../../frontend/frontend.ts';
import { type PlatformRef, platformMismatch, resultPlatforms } from './result-platforms.ts';

const host = parsePlatform('linux/amd64');
const tree = {} as SolvedRef;

function result(keys: readonly string[], metadata: Readonly<Record<string, unknown>> = {}) {
  return {
    refs: new Map(keys.map((key) => [key, tree] as const)),
    metadata: new Map(
      Object.entries(metadata).map(([key, value]) => [key, Buffer.from(JSON.stringify(value))] as const),
    ),
  };
}

const declared = (...platforms: readonly string[]) => ({
  'refs.platforms': {
    Platforms: platforms.map((ID) => {
      const [os, architecture] = ID.split('/');
      return { ID, Platform: { os, architecture } };
    }),
  },
});

const shown = (platforms: readonly PlatformRef[]) =>
  platforms.map(({ key, platform }) => `${key}:${formatPlatform(platform)}`);

describe('the platforms of a result', () => {
  test('are in the order in which it declares them', () => {
    const both = result(['linux/arm64', 'linux/amd64'], declared('linux/amd64', 'linux/arm64'));
    assert.deepEqual(shown(resultPlatforms(both, host)), [
      'linux/amd64:linux/amd64',
      'linux/arm64:linux/arm64',
    ]);
  });

  test('of a single tree are the declared one, else that of its image config, else the default', () => {
    const config = { 'containerimage.config': { os: 'linux', architecture: 's390x' } };
    assert.deepEqual(shown(resultPlatforms(result([''], declared('linux/arm64')), host)), [':linux/arm64']);
    assert.deepEqual(shown(resultPlatforms(result([''], config), host)), [':linux/s390x']);
    assert.deepEqual(shown(resultPlatforms(result(['']), host)), [':linux/amd64']);
  });

  test('are refused when they contradict the trees or themselves', () => {
    const cases: readonly [ReturnType<typeof result>, RegExp][] = [
      [result(['a', 'b']), /multiple refs without platforms mapping/],
      [result([''], declared('linux/amd64', 'linux/arm64')), /without map/],
      [result(['linux/amd64'], declared('linux/arm64')), /failed to find ref for ID linux\/arm64/],
      [result([''], { 'refs.platforms': null }), /invalid empty platforms index/],
      [result([''], { 'refs.platforms': { Platforms: [] } }), /invalid empty platforms index/],
      [result([''], { 'refs.platforms': { Platforms: [{ Platform: {} }] } }), /invalid empty platform key/],
      [
        result([''], { 'refs.platforms': { Platforms: [{ ID: 'x', Platform: {} }] } }),
        /invalid platform value/,
      ],
      [result([''], { 'containerimage.config': { os: 'linux' } }), /must be specified together/],
    ];
    for (const [each, message] of cases) {
      assert.throws(() => resultPlatforms(each, host), { code: 'invalid_argument', message });
    }
  });
});

describe('a result for other platforms than were asked for', () => {
  const mismatch = (requested: string, ...args: Parameters<typeof result>) =>
    platformMismatch(requested.split(',').map(parsePlatform), resultPlatforms(result(...args), host));
  const two = declared('linux/amd64', 'linux/arm64');

  test('is told by its platforms, in any order', () => {
    assert.equal(mismatch('linux/arm64,linux/amd64', ['linux/amd64', 'linux/arm64'], two), undefined);
    assert.equal(mismatch('linux/amd64', ['']), undefined);
    assert.equal(mismatch('linux/amd64,linux/arm64', []), undefined);
    assert.match(
      mismatch('linux/amd64', ['linux/amd64', 'linux/arm64'], two)!,
      /platforms linux\/amd64 do not match result platforms linux\/amd64,linux\/arm64/,
    );
    assert.match(mismatch('linux/amd64,linux/arm64', [''])!, /result is not multi-platform/);
    assert.match(
      mismatch('linux/s390x', [''])!,
      /"linux\/s390x" does not match result platform "linux\/amd64"/,
    );
    assert.match(mismatch('linux/amd64,linux/amd64', [''])!, /Duplicate platform/);
  });

  test('is not one that only has a version of its operating system', () => {
    const windows = {
      'containerimage.config': { os: 'windows', architecture: 'amd64', 'os.version': '10.0.1' },
    };
    assert.equal(mismatch('windows/amd64', [''], windows), undefined);
    assert.notEqual(mismatch('windows(10.0.2)/amd64', [''], windows), undefined);
  });
});
