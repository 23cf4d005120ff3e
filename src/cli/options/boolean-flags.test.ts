import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildCommand } from '../build-command.ts';
import { expandBooleanFlags } from './boolean-flags.ts';

test('flags without a value may be given one', () => {
  const args = [
    '--load=podman',
    '--load=true',
    '--push=true',
    '--no-cache=1',
    '--pull=false',
    '--target=true',
    '--',
    '--push=true',
  ];
  assert.deepEqual(expandBooleanFlags(args, buildCommand()), [
    '--load-into=podman',
    '--load',
    '--push',
    '--no-cache',
    '--target=true',
    '--',
    '--push=true',
  ]);
  assert.throws(() => expandBooleanFlags(['--push=maybe'], buildCommand()), { code: 'invalid_argument' });
});
