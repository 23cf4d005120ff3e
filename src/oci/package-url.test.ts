import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePlatform } from '../base/platform.ts';
import { imagePackageUrl } from './package-url.ts';
import { parseReference } from './reference.ts';

test('an image has one package URL, whichever way its name is written', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const cases: readonly [string, string | undefined, string][] = [
    ['alpine', undefined, 'pkg:docker/alpine@latest'],
    ['docker.io/library/alpine:3', undefined, 'pkg:docker/alpine@3'],
    ['user/app:1.0_a-b', 'linux/arm/v7', 'pkg:docker/user/app@1.0_a-b?platform=linux%2Farm%2Fv7'],
    [
      'localhost:5000/a/b:1',
      'windows(10.0.1)/amd64',
      'pkg:docker/localhost%3A5000/a/b@1?platform=windows%2Famd64',
    ],
    [`app@${digest}`, 'linux/amd64', `pkg:docker/app?digest=${digest}&platform=linux%2Famd64`],
    [`app:1@${digest}`, undefined, `pkg:docker/app@1?digest=${digest}`],
  ];
  for (const [name, platform, expected] of cases) {
    assert.equal(
      imagePackageUrl(parseReference(name), platform === undefined ? undefined : parsePlatform(platform)),
      expected,
    );
  }
  assert.equal(imagePackageUrl(parseReference('app'), undefined, 'oci'), 'pkg:oci/app@latest');
});
