import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCompressionOptions } from './compression-options.ts';

test('a compression level that the format does not have is refused when the options are read', () => {
  const levelOf = (compression: string, level: string) =>
    parseCompressionOptions({ compression, 'compression-level': level }).level;
  for (const [compression, lowest, highest] of [
    ['gzip', 0, 9],
    ['zstd', 1, 22],
  ] as const) {
    assert.deepEqual(
      [levelOf(compression, `${lowest}`), levelOf(compression, `${highest}`)],
      [lowest, highest],
    );
    for (const level of [lowest - 1, highest + 1]) {
      const message = `compression-level ${level} is out of range for ${compression}: ${lowest} to ${highest}`;
      assert.throws(() => levelOf(compression, `${level}`), { code: 'invalid_argument', message });
    }
  }
});
