import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import type { UsageRecord } from '../disk-usage.ts';
import type { RefId } from '../ref.ts';
import { parseRecordFilter } from './record-filter.ts';

const record: UsageRecord = {
  id: 'abc123' as RefId,
  type: 'exec.cachemount',
  mutable: true,
  inUse: false,
  size: 10,
  parents: ['p1' as RefId, 'p2' as RefId],
  createdAt: new Date(0),
  usageCount: 1,
  description: 'mount /root/.cache, "quoted"',
  shared: false,
};

const cases: readonly [string | readonly string[], boolean][] = [
  [[], true],
  ['', true],
  ['type==exec.cachemount', true],
  ['type==regular', false],
  ['type!=regular', true],
  ['id~=^abc', true],
  ['id~="^b"', false],
  ['id~=/c12/', true],
  ['parents~=p2', true],
  ['parents==p1;p2', true],
  ['parent==p1;p2', true],
  ['mutable', true],
  ['immutable', false],
  ['inuse', false],
  ['private', true],
  ['shared', false],
  ['description=="mount /root/.cache, \\"quoted\\""', true],
  ['description~=cache,type==regular', false],
  ['mutable,type==exec.cachemount', true],
  [['type==regular', 'mutable'], true],
  ['nonsense', false],
  ['nonsense!=x', true],
];

for (const [filter, expected] of cases) {
  test(`the filter ${JSON.stringify(filter)} ${expected ? 'matches' : 'does not match'}`, () => {
    const filters = typeof filter === 'string' ? [filter] : filter;
    assert.equal(parseRecordFilter(filters)(record), expected);
  });
}

test('a filter that is not one is refused, and named', () => {
  for (const filter of ['type==', '==x', 'a b', 'id~=(', 'type=regular', 'id,']) {
    assert.throws(
      () => parseRecordFilter([filter]),
      (error) =>
        error instanceof KilnError &&
        error.code === 'invalid_argument' &&
        error.message.includes(JSON.stringify(filter)),
      filter,
    );
  }
});
