import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openFileLimits } from './open-file-limits.ts';

const limits = (hard: string) =>
  `Max processes  10  10  processes\nMax open files            ${hard}  ${hard}  files\n`;

test('the soft limit is the one that was noted, the hard one that of the process', () => {
  assert.deepEqual(openFileLimits('777', limits('4096')), { soft: 777, hard: 4096 });
  assert.deepEqual(openFileLimits('unlimited', limits('unlimited')), { soft: -1, hard: -1 });
});

test('a soft limit is never above the hard one', () => {
  assert.deepEqual(openFileLimits('8192', limits('4096')), { soft: 4096, hard: 4096 });
  assert.deepEqual(openFileLimits('unlimited', limits('4096')), { soft: 4096, hard: 4096 });
});

test('what was not noted, or makes no sense, is 1024', () => {
  for (const noted of [undefined, '', '12x', '-5'])
    assert.deepEqual(openFileLimits(noted, limits('524288')), { soft: 1024, hard: 524288 });
  assert.deepEqual(openFileLimits(undefined, limits('512')), { soft: 512, hard: 512 });
});
