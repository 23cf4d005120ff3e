import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createRegistry } from '../../registry/http-registry.ts';
import type { Registry } from '../../registry/registry.ts';
import { type RegistryRig, startRegistry } from '../../registry/registry-rig.ts';
import { cacheBackendSuite } from './cache-backend-suite.ts';
import { createRegistryCache } from './registry-cache.ts';

let rig: RegistryRig;
let registry: Registry & AsyncDisposable;
let places = 0;

before(async () => {
  rig = await startRegistry();
  registry = createRegistry({ retry: { attempts: 2, firstDelay: 1 } });
});

after(async () => {
  await registry[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

const credentials = { login: async () => undefined, token: async () => undefined };

cacheBackendSuite('registry', async () => {
  const type = createRegistryCache({ registry, credentials });
  const ref = `${rig.host}/cache/place-${places++}:kept`;
  return {
    open: (purpose) => type.open({ ref }, purpose),
    sessions: [],
    [Symbol.asyncDispose]: async () => {},
  };
});

test('a registry cache needs a reference, and names its place in full', () => {
  const type = createRegistryCache({ registry, credentials });
  assert.throws(() => type.open({}, 'export'), /missing ref/);
  assert.throws(() => type.open({ ref: 'localhost/UPPER' }, 'export'), /invalid image reference/);
  assert.throws(() => type.open({ ref: 'app', 'registry.insecure': 'perhaps' }, 'import'), /non-bool/);
  assert.equal(type.open({ ref: 'app' }, 'import').place, 'docker.io/library/app:latest');
});
