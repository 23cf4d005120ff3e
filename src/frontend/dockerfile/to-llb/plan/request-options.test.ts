import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KilnError } from '../../../../base/errors.ts';
import { parseRequestOptions } from './request-options.ts';

const imports = (options: Readonly<Record<string, string>>) => parseRequestOptions(options).cacheImports;

test('caches to import are those of the list, and registries by reference alone', () => {
  const list = [
    { Type: 'local', Attrs: { src: 'd' } },
    { Type: 'gha', Attrs: null },
  ];
  assert.deepEqual(imports({ 'cache-imports': JSON.stringify(list), 'cache-from': 'one,two' }), [
    { type: 'local', attrs: { src: 'd' } },
    { type: 'gha', attrs: {} },
    { type: 'registry', attrs: { ref: 'one' } },
    { type: 'registry', attrs: { ref: 'two' } },
  ]);
  assert.deepEqual(imports({}), []);
});

test('a list that is none is refused without being told, since it may have keys in it', () => {
  const lists = ['{', '{"Type":"secret"}', '[{"Type":"s3","Attrs":{"secret":1}}]', '[{"Type":{"secret":1}}]'];
  for (const list of lists) {
    assert.throws(
      () => imports({ 'cache-imports': list }),
      (error) =>
        error instanceof KilnError &&
        error.code === 'invalid_argument' &&
        /^option cache-imports is not/.test(error.message) &&
        !error.message.includes('secret'),
      list,
    );
  }
});
