import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Build } from '../../engine/engine.ts';
import { GatewayContainers } from '../containers/gateway-containers.ts';
import { BuildProgress } from './build-progress.ts';
import { BuildRegistry } from './build-registry.ts';
import { GatewayRefs } from './gateway-refs.ts';

test('the progress of a build that has ended can be read for a while, and takes no memory after that', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const builds = new BuildRegistry();
  const progress = new BuildProgress();
  const build: Pick<Build, 'id'> = { id: 'a' };
  const active = builds.add(build as Build, {
    progress,
    inputs: new Map(),
    refs: new GatewayRefs(),
    containers: new GatewayContainers(),
  });
  const progressOf = (isPast = false) => builds.progress('a', AbortSignal.abort(), () => isPast);
  builds.remove(active);
  t.mock.timers.tick(29_000);
  assert.equal(await progressOf(), progress);
  t.mock.timers.tick(2_000);
  await assert.rejects(progressOf(), { code: 'canceled' });
  assert.equal(await progressOf(true), undefined);
});
