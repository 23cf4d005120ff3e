import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { readTreeDir } from '../../src/engine/result/read-tree.ts';
import { CompiledPolicies } from '../../src/engine/source-policy/compiled-policies.ts';
import { followPaths } from '../../src/file-sync/send/follow-paths.ts';
import type { UsageRecord } from '../../src/ref/disk-usage.ts';
import { parseRecordFilter } from '../../src/ref/usage/record-filter.ts';
import { Kiln } from '../rig/kiln.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** Both can match in more ways than there is time to try. */
const glob = `${'a*'.repeat(100)}b`;
const expressions = ['(a+)+$', '(a|a)*b', '(a*)*b', '(.*)(.*)(.*)(.*)(.*)(.*)b$'];
const name = 'a'.repeat(250);

describe('a pattern that can match in more ways than there is time for is matched at once', () => {
  const work = new WorkDirectory();
  after(() => work[Symbol.dispose]());
  const kiln = () => new Kiln({ root: work.at('root') });

  test('in a source policy', () => {
    const identifier = `docker-image://${'a'.repeat(5_000)}!`;
    for (const expression of expressions) {
      const condition = { key: 'a', value: expression, condition: 'matches' } as const;
      const selectors = [
        { identifier: expression, match: 'regex', constraints: [] },
        { identifier, match: 'exact', constraints: [condition] },
        { identifier: `*${'a*'.repeat(500)}b`, match: 'wildcard', constraints: [] },
      ] as const;
      for (const selector of selectors) {
        const policies = new CompiledPolicies([{ rules: [{ action: 'deny', selector }] }]);
        assert.deepEqual(policies.apply({ identifier, attrs: { a: `${'a'.repeat(5_000)}!` } }).attrs, {
          a: `${'a'.repeat(5_000)}!`,
        });
      }
    }
  });

  test('in a filter of du and prune', () => {
    const record = { description: `${'a'.repeat(5_000)}!` } as UsageRecord;
    for (const expression of expressions)
      assert.equal(parseRecordFilter([`description~="${expression}"`])(record), false);
  });

  test('in a listing that a frontend asks for', async () => {
    const root = work.tree({ [name]: '' });
    assert.deepEqual(await readTreeDir({ path: root }, '/', glob), []);
    assert.equal((await readTreeDir({ path: root }, '/', 'a*')).length, 1);
  });

  test('in the paths that a client is to follow', () => {
    const root = work.tree({ [name]: '' });
    assert.deepEqual(followPaths(root, [glob]), [glob]);
  });

  test('in a copy, its exclusions, and .dockerignore', async () => {
    const context = work.tree({
      Dockerfile: [
        '# syntax=docker/dockerfile:1-labs',
        'FROM base',
        `COPY --exclude=${glob} --exclude=**/${glob} . /all/`,
        `COPY d/${glob} /none/`,
        'RUN find /all -type f | wc -l > /said',
      ].join('\n'),
      '.dockerignore': `${glob}\n**/${glob}\n!${glob}c\n`,
      [name]: '',
      [`d/${name}`]: '',
    });
    assert.equal(await kiln().textOf('said', context), '4\n');
  });
});
