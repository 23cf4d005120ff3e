import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deferred } from '../../base/async/lifetime.ts';
import type { BuildContainer } from '../../engine/containers/build-container.ts';
import { GatewayContainers } from './gateway-containers.ts';
import { InputBudget } from './input-budget.ts';

test('a build has no more than a thousand containers, those that are being made among them', async () => {
  const containers = new GatewayContainers();
  const made = deferred<BuildContainer>();
  const all = Array.from({ length: 1_000 }, (_, index) => containers.add(`${index}`, () => made.promise));
  await assert.rejects(
    containers.add('one more', () => made.promise),
    { code: 'resource_exhausted', message: 'the build has 1000 containers' },
  );
  made.reject(new Error('none'));
  await Promise.allSettled(all);
  await assert.rejects(
    containers.add('one more', () => made.promise),
    { message: 'none' },
  );
});

test('a build has no more than a thousand calls that run processes', () => {
  const containers = new GatewayContainers();
  const calls = Array.from({ length: 1_000 }, () => containers.call());
  assert.throws(() => containers.call(), { code: 'resource_exhausted' });
  calls[0]![Symbol.dispose]();
  containers.call()[Symbol.dispose]();
});

test('of many who read, some wait for the others, and may leave', async () => {
  const containers = new GatewayContainers();
  const { signal } = new AbortController();
  const over = deferred<void>();
  let reading = 0;
  const read = async () => {
    reading++;
    await over.promise;
    reading--;
  };
  const all = Array.from({ length: 100 }, () => containers.reading(signal, read));
  const leaver = new AbortController();
  const left = containers.reading(leaver.signal, read);
  leaver.abort();
  await assert.rejects(left, { code: 'canceled' });
  assert.equal(reading, 64);
  over.resolve();
  await Promise.all(all);
  assert.equal(reading, 0);
});

test('input is taken without waiting until there is too much of it', async () => {
  const budget = new InputBudget(100);
  assert.equal(budget.take(60), undefined);
  assert.equal(budget.take(40), undefined);
  const room = budget.take(1);
  assert.ok(room);
  budget.free(1);
  await room;
  assert.equal(budget.take(0), undefined);
});
