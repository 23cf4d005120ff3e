import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choice, flag, readParameters, text, wholeNumber } from './parameter.ts';

const parameters = {
  name: text(),
  title: text({ optional: true }),
  race: flag(),
  jobs: wholeNumber({ default: 4 }),
  mode: choice(['debug', 'release'], { default: 'debug' }),
};

const read = (given: Readonly<Record<string, string>>) =>
  readParameters(parameters, new Map(Object.entries(given)));

test('values have the types that are declared', () => {
  const values: {
    readonly name: string;
    readonly title: string | undefined;
    readonly race: boolean;
    readonly jobs: number;
    readonly mode: 'debug' | 'release';
  } = read({ name: 'n', race: '1', jobs: '-3' });
  assert.deepEqual(values, { name: 'n', title: undefined, race: true, jobs: -3, mode: 'debug' });
});

test('what is missing or wrong is named, with what was expected', () => {
  assert.throws(() => read({}), { message: 'build argument name is missing; expected a text' });
  assert.throws(() => read({ name: 'n', jobs: '1e400' }), {
    message: 'build argument jobs is "1e400"; expected a whole number',
  });
  assert.throws(() => read({ name: 'n', mode: 'fast' }), { message: /expected one of debug, release/ });
  assert.throws(() => read({ name: 'n', race: 'perhaps' }), { message: /expected true or false/ });
});
