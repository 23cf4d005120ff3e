import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { it } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { databaseFaults, FaultyDatabase } from '../base/testing/faulty-database.ts';
import { rootKey } from '../solver/cache-key.ts';
import { keyStoreSuite } from './key-store-suite.ts';
import { SqliteKeyStore } from './sqlite-key-store.ts';

keyStoreSuite('the key store in SQLite', () => {
  const database = new DatabaseSync(':memory:');
  return {
    store: new SqliteKeyStore(database),
    [Symbol.dispose]() {
      database.close();
    },
  };
});

it('the key store in SQLite has everything again when the database is opened again', async (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'kiln-keys-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'keys.db');
  const key = rootKey(digestOf('source'), 0);
  const result = { id: 'r', createdAt: new Date(1000) };
  const first = new DatabaseSync(file);
  await new SqliteKeyStore(first).commit({ results: [{ key, result }] });
  first.close();
  const second = new DatabaseSync(file);
  context.after(() => second.close());
  assert.deepEqual(await new SqliteKeyStore(second).results([key]), [result]);
});

it('the key store in SQLite forgets the keys of an older format, and works', async (context) => {
  const database = new DatabaseSync(':memory:');
  context.after(() => database.close());
  const [from, to] = [rootKey(digestOf('source'), 0), rootKey(digestOf('step'), 0)];
  const link = { from, operation: digestOf('run'), output: 0, input: 0, selector: undefined };
  const result = { id: 'r', createdAt: new Date(1000) };
  await new SqliteKeyStore(database).commit({ links: [{ ...link, to }], results: [{ key: to, result }] });
  database.exec('DROP TABLE key_format');
  const store = new SqliteKeyStore(database);
  assert.deepEqual(await store.targets([link]), [[]]);
  assert.deepEqual(await store.results([to]), []);
  await store.commit({ results: [{ key: to, result }] });
  assert.deepEqual(await new SqliteKeyStore(database).results([to]), [result]);
});

it('a commit that SQLite cannot write leaves nothing of itself, and its neighbours whole', async (context) => {
  const database = new DatabaseSync(':memory:');
  context.after(() => database.close());
  const store = new SqliteKeyStore(database);
  database.exec(`CREATE TRIGGER refuse BEFORE INSERT ON key_result WHEN NEW.result = 'refused'
    BEGIN SELECT RAISE(ABORT, 'refused'); END`);
  const key = rootKey(digestOf('source'), 0);
  const result = (id: string) => ({ key, result: { id, createdAt: new Date(1000) } });
  const outcomes = await Promise.allSettled([
    store.commit({ results: [result('before')] }),
    store.commit({ results: [result('partly'), result('refused')] }),
    store.commit({ results: [result('after')] }),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  const ids = (await store.results([key])).map(({ id }) => id).sort();
  assert.deepEqual(ids, ['after', 'before']);
});

it('the key store in SQLite lets the event loop turn while it writes 20,000 links, and while it drops them', async (context) => {
  const database = new DatabaseSync(':memory:');
  context.after(() => database.close());
  const store = new SqliteKeyStore(database);
  const to = rootKey(digestOf('target'), 0);
  const links = Array.from({ length: 20_000 }, (_, input) => ({
    from: rootKey(digestOf(`source ${input}`), 0),
    operation: digestOf('merge'),
    output: 0,
    input,
    selector: undefined,
    to,
  }));
  const turnsDuring = async (work: Promise<void>) => {
    let turns = 0;
    let ended = false;
    const count = () => {
      turns++;
      if (!ended) setImmediate(count);
    };
    setImmediate(count);
    await work;
    ended = true;
    return turns;
  };
  const result = { id: 'r', createdAt: new Date(1000) };
  const committed = store.commit({ links, results: [{ key: to, result }] });
  const later = store.dropResult('r');
  assert((await turnsDuring(committed)) > 2);
  assert((await turnsDuring(later)) > 2);
  assert.deepEqual(await store.targets(links.slice(0, 1)), [[]]);
  assert.deepEqual(await store.results([to]), []);
});

for (const [fault, code] of Object.entries(databaseFaults)) {
  it(`keys of a result are all dropped, or can be dropped later, whichever statement fails (${fault})`, async (context) => {
    const database = new FaultyDatabase(':memory:');
    context.after(() => database.close());
    const store = new SqliteKeyStore(database);
    const [from, to] = [rootKey(digestOf('source'), 0), rootKey(digestOf('step'), 0)];
    const link = { from, operation: digestOf('operation'), output: 0, input: 0, selector: undefined, to };
    for (const lasting of [false, true]) {
      for (let left = 0, hits = 1; hits > 0; left++) {
        await store.commit({
          links: [link],
          results: [{ key: to, result: { id: 'r', createdAt: new Date(1) } }],
        });
        database.failAfter(left, code, { lasting });
        const dropped = await store.dropResult('r').then(
          () => true,
          () => false,
        );
        hits = database.heal();
        if (!dropped) await store.dropResult('r');
        assert.deepEqual(await store.results([to]), []);
        assert.deepEqual(await store.targets([link]), [[]]);
        assert.equal(dropped || hits > 0, true);
        // A full disk need not be full for long.
        if (fault === 'full' && !lasting) assert.equal(dropped, true);
      }
    }
  });
}
