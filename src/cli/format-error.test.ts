import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KilnError } from '../base/errors.ts';
import { formatError } from './format-error.ts';

const data = Buffer.from(Array.from({ length: 9 }, (_, index) => `line ${index + 1}`).join('\n'));
const firstLine = { start: { line: 1, character: 0 }, end: { line: 1, character: 0 } };

test('a failure is told with its lines, its message and its hint, once', () => {
  const error = new KilnError('not_found', 'no stage "bild"', {
    hint: 'did you mean "build"?',
    details: [{ kind: 'source', filename: 'Dockerfile', language: 'Dockerfile', data, ranges: [firstLine] }],
  });
  const text = formatError(error.wrap('failed to solve'), { debug: false });
  assert.match(
    text,
    /^Dockerfile:1\n[\s\S]*-\nerror: failed to solve: no stage "bild"\nhint: did you mean "build"\?\n$/,
  );
  assert.match(formatError(error, { debug: true }), /\n {4}at /);
});

test('what servers and Dockerfiles say in a failure does not steer the terminal', () => {
  const steering = Buffer.from('RUN\techo \x1b[2J');
  const error = new KilnError('unknown', 'the registry says: \x1b]0;owned\x07\nsecond line\r', {
    hint: 'ask\x9b1m',
    details: [
      {
        kind: 'source',
        filename: 'Docker\x1bfile',
        language: 'Dockerfile',
        data: steering,
        ranges: [firstLine],
      },
    ],
  });
  const text = formatError(error, { debug: true });
  assert.doesNotMatch(text, /(?![\n\t])\p{Cc}/u);
  assert.match(text, /RUN\techo \\u001b\[2J/);
  assert.match(text, /error: the registry says: \\u001b\]0;owned\\u0007\nsecond line\nhint: ask\\u009b1m\n/);
});
