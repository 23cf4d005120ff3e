import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestName } from './nearest-name.ts';

test('the nearest name is the one with the fewest slips', () => {
  assert.equal(nearestName('biuld', ['base', 'build', 'built']), 'build');
  assert.equal(nearestName('README', ['readme', 'license']), 'readme');
  assert.equal(nearestName('mian.go', ['main.go', 'main.c']), 'main.go');
});

test('a name that is not near is not offered', () => {
  assert.equal(nearestName('database', ['base', 'server']), undefined);
  assert.equal(nearestName('ab', ['xy']), undefined);
  assert.equal(nearestName('x', []), undefined);
});
