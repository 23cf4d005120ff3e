import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTable } from './table.ts';

test('columns are as wide as what is shown of their cells, and no cell steers the terminal', () => {
  const table = formatTable([
    ['ID', 'SIZE'],
    ['a\x1b[2J\n', '1'],
    ['b\x9b', '\r2'],
  ]);
  assert.deepEqual(table.split('\n'), [
    'ID                SIZE',
    'a\\u001b[2J\\u000a  1',
    'b\\u009b           \\u000d2',
    '',
  ]);
});
