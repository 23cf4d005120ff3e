import assert from 'node:assert/strict';
import test from 'node:test';
import { withoutCredentials } from './without-credentials.ts';

test('users and passwords of URLs are masked, wherever the URLs stand', () => {
  const cases = [
    ['https://user:pass@host/path', 'https://xxxxx:xxxxx@host/path'],
    ['https://user@host/path', 'https://xxxxx@host/path'],
    ['https://:pass@host/path', 'https://:xxxxx@host/path'],
    ['https://user:p@ss@host', 'https://xxxxx:xxxxx@host'],
    ['https://user:p:a:s@host?q=a@b', 'https://xxxxx:xxxxx@host?q=a@b'],
    ['https://host/a@b', 'https://host/a@b'],
    [
      'get ssh://git@a/x then http://u:p@b/y, please',
      'get ssh://xxxxx@a/x then http://xxxxx:xxxxx@b/y, please',
    ],
    ['git://https://u:p@host/x', 'git://https://xxxxx:xxxxx@host/x'],
    ['git@host:path', 'git@host:path'],
    [`oci-layout://store@sha256:${'a'.repeat(64)}`, `oci-layout://store@sha256:${'a'.repeat(64)}`],
    ['no url', 'no url'],
    ['://@', '://@'],
  ] as const;
  for (const [text, expected] of cases) assert.equal(withoutCredentials(text), expected);
});
