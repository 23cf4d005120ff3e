import assert from 'node:assert/strict';
import test from 'node:test';
import { parseGoBool } from './go-bool.ts';

test('the words that Go takes for a boolean are read, and no others', () => {
  for (const text of ['1', 't', 'T', 'true', 'TRUE', 'True']) assert.equal(parseGoBool(text), true, text);
  for (const text of ['0', 'f', 'F', 'false', 'FALSE', 'False']) assert.equal(parseGoBool(text), false, text);
  for (const text of ['', 'tRUE', 'yes', ' true', '01', 'true\n'])
    assert.equal(parseGoBool(text), undefined, text);
});
