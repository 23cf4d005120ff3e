import assert from 'node:assert/strict';
import { test } from 'node:test';
import { familiarReference, formatReference, parseReference, withDefaultTag } from './reference.ts';

const digest = `sha256:${'ab'.repeat(32)}`;

test('short names get the default registry and the prefix of official images', () => {
  const cases = [
    ['alpine', 'docker.io/library/alpine'],
    ['alpine:3.20', 'docker.io/library/alpine:3.20'],
    ['user/app', 'docker.io/user/app'],
    ['index.docker.io/alpine', 'docker.io/library/alpine'],
    ['docker.io/alpine', 'docker.io/library/alpine'],
    ['localhost/app', 'localhost/app'],
    ['localhost:5000/app:1', 'localhost:5000/app:1'],
    ['example.org/a/b_c/d__e-f', 'example.org/a/b_c/d__e-f'],
    ['Upper/app', 'Upper/app'],
    ['[::1]:5000/app', '[::1]:5000/app'],
    [`app@${digest}`, `docker.io/library/app@${digest}`],
    [`app:1@${digest}`, `docker.io/library/app:1@${digest}`],
  ];
  for (const [written, canonical] of cases)
    assert.equal(formatReference(parseReference(written!)), canonical);
});

test('canonical names shorten to what people type', () => {
  assert.equal(familiarReference(parseReference('docker.io/library/alpine:1')), 'alpine:1');
  assert.equal(familiarReference(parseReference('docker.io/user/app')), 'user/app');
  assert.equal(familiarReference(parseReference('example.org/library/app')), 'example.org/library/app');
});

test('the default tag is added only when nothing says which image is meant', () => {
  assert.equal(withDefaultTag(parseReference('app')).tag, 'latest');
  assert.equal(withDefaultTag(parseReference('app:1')).tag, '1');
  assert.equal(withDefaultTag(parseReference(`app@${digest}`)).tag, undefined);
});

test('what is no reference is refused with the reason', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /empty/],
    ['App', /must be lower-case/],
    ['app:', /not a tag/],
    ['app@sha256:123', /not a digest/],
    ['-app', /not a repository name/],
    ['a//b', /not a repository name/],
    ['ex ample.org/app', /not a registry host/],
    ['ab'.repeat(32), /not a name/],
    ['a'.repeat(300), /longer than 255/],
  ];
  for (const [text, reason] of cases) {
    assert.throws(() => parseReference(text), { code: 'invalid_argument', message: reason });
  }
});

test('what is written for an upper-case name is a name', () => {
  const cases = [
    ['UPPER:x', 'upper:x'],
    ['My/App:V1', 'My/app:V1'],
    ['Host.example:5000/My/APP:V1', 'Host.example:5000/my/app:V1'],
    ['docker.io/APP', 'docker.io/app'],
    [`APP@${digest}`, `app@${digest}`],
  ];
  for (const [written, usable] of cases) {
    assert.throws(() => parseReference(written!), { hint: `write it as ${usable}` });
    parseReference(usable!);
  }
  assert.throws(() => parseReference('A..b'), { message: /is not a repository name/, hint: undefined });
});
