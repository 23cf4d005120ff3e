import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { describeOnSnapshotters, hasCode, writeFiles } from '../testing/restartable-store.ts';

describeOnSnapshotters('cache directories', (store) => {
  test('shared holders see one tree', async () => {
    const options = { description: 'cache', type: 'exec.cachemount', sharing: 'shared' } as const;
    const [one, two] = await Promise.all([
      store.cacheDirectories.acquire('key', undefined, options),
      store.cacheDirectories.acquire('key', undefined, options),
    ]);
    assert.equal(one.id, two.id);
    assert.deepEqual([one.fresh, two.fresh].sort(), [false, true]);
    await using view = await one.mount();
    writeFiles(view.path, { a: '1' });
    await using other = await two.mount();
    assert.deepEqual(readdirSync(other.path), ['a']);
    await one.release();
    await two.release();
  });

  test('private holders get trees of their own, and later ones find them again', async () => {
    const options = { description: 'cache', type: 'exec.cachemount', sharing: 'private' } as const;
    const one = await store.cacheDirectories.acquire('key', undefined, options);
    const two = await store.cacheDirectories.acquire('key', undefined, options);
    assert.notEqual(one.id, two.id);
    await one.release();
    const three = await store.cacheDirectories.acquire('key', undefined, options);
    assert.deepEqual([three.id, three.fresh], [one.id, false]);
    await two.release();
    await three.release();
  });

  test('locked holders come one after the other, and one who gives up is passed over', async () => {
    const options = { description: 'cache', type: 'exec.cachemount', sharing: 'locked' } as const;
    const one = await store.cacheDirectories.acquire('key', undefined, options);
    const impatient = new AbortController();
    const order: string[] = [];
    const two = store.cacheDirectories.acquire('key', undefined, { ...options, signal: impatient.signal });
    const three = store.cacheDirectories.acquire('key', undefined, options).then((held) => {
      order.push('three');
      return held;
    });
    impatient.abort();
    await assert.rejects(two, hasCode('canceled'));
    order.push('released');
    await one.release();
    const held = await three;
    assert.deepEqual([held.id, held.fresh], [one.id, false]);
    assert.deepEqual(order, ['released', 'three']);
    await held.release();
  });

  test('a cache directory starts as its parent, counts per parent, and survives a restart', async () => {
    const parent = await store.make({ seed: '1' });
    const options = { description: 'cache', type: 'exec.cachemount', sharing: 'shared' } as const;
    const cache = await store.cacheDirectories.acquire('key', parent, options);
    {
      await using view = await cache.mount();
      writeFiles(view.path, { more: '2' });
    }
    const without = await store.cacheDirectories.acquire('key', undefined, options);
    assert.notEqual(without.id, cache.id);
    await store.restart();
    const again = await store.cacheDirectories.acquire(
      'key',
      (await store.refStore.get(parent.id))!,
      options,
    );
    assert.deepEqual([again.id, again.fresh], [cache.id, false]);
    await using view = await again.mount();
    assert.deepEqual(readdirSync(view.path).sort(), ['more', 'seed']);
  });

  test('a dropped name gives a new tree to whoever comes next or waits, and the old one goes with its holder', async () => {
    const options = { description: 'cache', type: 'exec.cachemount', sharing: 'locked' } as const;
    const parent = await store.make({ seed: '1' });
    const onParent = await store.cacheDirectories.acquire('key', parent, options);
    const old = await store.cacheDirectories.acquire('key', undefined, options);
    const waiting = store.cacheDirectories.acquire('key', undefined, options);
    await store.cacheDirectories.drop('key', { withParent: false });
    const next = await waiting;
    assert.notEqual(next.id, old.id);
    assert.equal(next.fresh, true);
    assert.ok((await store.ids()).includes(old.id));
    await old.release();
    assert.ok(!(await store.ids()).includes(old.id));
    await next.release();
    await store.cacheDirectories.drop('key', { withParent: false });
    assert.ok(!(await store.ids()).includes(next.id));

    await onParent.release();
    const kept = await store.cacheDirectories.acquire('key', parent, options);
    assert.equal(kept.id, onParent.id);
    await kept.release();
    await store.cacheDirectories.drop('key', { withParent: true });
    assert.ok(!(await store.ids()).includes(onParent.id));
  });
});
