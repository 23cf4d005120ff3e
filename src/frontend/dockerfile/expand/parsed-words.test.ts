import assert from 'node:assert/strict';
import test from 'node:test';
import { ParsedWords } from './parsed-words.ts';

test('a word is parsed once', () => {
  const words = new ParsedWords('\\');
  assert.equal(words.get('$a b'), words.get('$a b'));
  assert.deepEqual(new ParsedWords('`').get('`a').parts, [{ kind: 'escaped', plain: 'a', raw: '`a' }]);
});

test('words that came first are forgotten when there are too many', () => {
  const words = new ParsedWords('\\');
  const first = words.get('first');
  for (let at = 0; at < 100; at++) words.get(`${at}${'x'.repeat(10_000)}`);
  assert.equal(words.get('first'), first);
  for (let at = 0; at < 100; at++) words.get(`${at}${'y'.repeat(10_000)}`);
  assert.notEqual(words.get('first'), first);
});

test('words of many parts count for more than their characters', () => {
  const words = new ParsedWords('\\');
  const first = words.get('first');
  words.get('$a'.repeat(5_000));
  assert.equal(words.get('first'), first);
  for (let at = 0; at < 5; at++) words.get(`${at}${'"$b"'.repeat(2_000)}`);
  assert.notEqual(words.get('first'), first);
});

test('a word that is too long to be kept is parsed, and does not displace others', () => {
  const words = new ParsedWords('\\');
  const kept = words.get('kept');
  const long = 'x'.repeat(2_000_000);
  assert.deepEqual(words.get(long).parts, [long]);
  assert.equal(words.get('kept'), kept);
});
