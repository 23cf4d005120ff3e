import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { databaseFaults } from '../../src/base/testing/faulty-database.ts';
import { ThreadPool } from '../../src/base/threads/thread-pool.ts';
import { WorkDirectory } from '../rig/work-directory.ts';
import { EngineStore } from './engine-store.ts';
import { fillStore, pruneAll, storeOperations } from './store-operations.ts';

for (const kind of ['overlay', 'native'] as const) {
  describe(`a database that fails at any statement, over the ${kind} snapshotter`, () => {
    // What the snapshotters have in common is the same code.
    const tried = Object.entries(storeOperations).slice(0, kind === 'overlay' ? undefined : 1);
    for (const [what, operate] of tried) {
      for (const [fault, code] of Object.entries(databaseFaults)) {
        test(`${what}, with the fault ${fault}: memory, tables and disk agree after it, and after a restart`, async () => {
          using work = new WorkDirectory();
          await using pool = new ThreadPool({ size: 2 });
          for (const lasting of [false, true]) {
            const root = work.tree({});
            let hits = 1;
            let left = 0;
            while (hits > 0) {
              {
                await using store = await EngineStore.open(root, kind, pool);
                // A restart for each would take long.
                for (const end = left + 10; hits > 0 && left < end; left++) {
                  await pruneAll(store);
                  await fillStore(store);
                  store.database.failAfter(left, code, { lasting });
                  await operate(store).catch((error: unknown) => {
                    assert.match(String(error), /failed on purpose|was pruned/);
                  });
                  hits = store.database.heal();
                  await store.assertAgrees();
                }
              }
              await using store = await EngineStore.open(root, kind, pool);
              await store.assertAgrees();
              await pruneAll(store);
              assert.deepEqual(await store.refs.diskUsage.list(), []);
              assert.deepEqual(readdirSync(path.join(root, 'snapshots', 's')), []);
              assert.deepEqual(readdirSync(path.join(root, 'content', 'blobs', 'sha256')), []);
            }
            assert.ok(left > 1, 'no statement was made to fail');
          }
        });
      }
    }
  });
}
