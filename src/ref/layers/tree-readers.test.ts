import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import type { LazyMount } from '../../lazy-layer/lazy-mounts.ts';
import { snapshotId } from '../../snapshot/snapshot.ts';
import { TreeReaders } from './tree-readers.ts';

test('a layer is given up when the last who reads it leaves, and not before', () => {
  const said: string[] = [];
  const mounts = new Map<string, Pick<LazyMount, 'giveUp' | 'resume'> & { failure: LazyMount['failure'] }>(
    ['below', 'above'].map((name) => [
      name,
      {
        failure: undefined as LazyMount['failure'],
        giveUp: () => said.push(`${name} given up`),
        resume: () => said.push(`${name} read`),
      },
    ]),
  );
  const readers = new TreeReaders((id) => mounts.get(id));
  const stop = new AbortController();
  const [below, above, elsewhere] = ['below', 'above', 'elsewhere'].map(snapshotId);
  const first = readers.add([below!, above!], stop.signal);
  const second = readers.add([below!, elsewhere!], undefined);
  assert.deepEqual(said.splice(0), ['below read', 'above read', 'below read']);
  stop.abort();
  assert.deepEqual(said.splice(0), ['above given up']);
  first[Symbol.dispose]();
  assert.deepEqual(said, []);
  mounts.get('below')!.failure = { error: new KilnError('unavailable', 'gone'), at: performance.now() };
  assert.equal(second.failure()?.message, 'gone');
  second[Symbol.dispose]();
  assert.deepEqual(said.splice(0), ['below given up']);
  const late = readers.add([below!], stop.signal);
  assert.deepEqual(said, ['below read', 'below given up']);
  assert.equal(late.failure(), undefined);
});
