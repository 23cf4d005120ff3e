import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { vertexName } from './op-name.ts';

test('a source is shown without the user and password in its URL', () => {
  const nameOf = (identifier: string) =>
    vertexName(
      { action: { kind: 'source', identifier, attrs: {} }, inputs: [] },
      { ignoreCache: false, description: {}, caps: {} },
      String,
    );
  assert.equal(nameOf('https://me:secret@host/file'), 'https://xxxxx:xxxxx@host/file');
  for (const whole of ['https://host/file', `oci-layout://store@${digestOf('x')}`]) {
    assert.equal(nameOf(whole), whole);
  }
});
