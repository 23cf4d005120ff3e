import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { readProvenanceEnvironment } from './read-provenance-environment.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'kiln-provenance-'));
after(() => rmSync(directory, { recursive: true }));

test('the fields of all JSON files count, those of later files first', async () => {
  writeFileSync(path.join(directory, 'a.json'), '{"a": 1, "both": {"x": 1}}');
  writeFileSync(path.join(directory, 'b.json'), '{"__proto__": [1], "both": true}');
  writeFileSync(path.join(directory, 'c.txt'), 'no JSON');
  mkdirSync(path.join(directory, 'd.json'));
  const fields = await readProvenanceEnvironment(directory);
  assert.deepEqual(Object.entries(fields), [
    ['a', 1],
    ['both', true],
    ['__proto__', [1]],
  ]);
  assert.deepEqual(await readProvenanceEnvironment(path.join(directory, 'none')), {});
});

test('a file that is no JSON object is an error that names it', async () => {
  for (const text of ['{', '[]', 'null']) {
    writeFileSync(path.join(directory, 'e.json'), text);
    await assert.rejects(readProvenanceEnvironment(directory), {
      code: 'invalid_argument',
      message: /failed to parse .*e\.json/,
    });
  }
});
