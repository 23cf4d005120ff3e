import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { silentProgress } from '../../base/progress.ts';
import { temporaryDirectories } from '../../base/testing/temporary-directories.ts';
import { FaultProxy } from '../../registry/fault-proxy-rig.ts';
import { createRegistry } from '../../registry/http-registry.ts';
import { type RegistryRig, startRegistry } from '../../registry/registry-rig.ts';
import { missingFromRepositories } from '../../registry/whole-repositories-rig.ts';
import { createRegistryCache } from '../backends/registry-cache.ts';
import { CacheMachine, keysOfSteps } from '../cache-machine-rig.ts';
import type { BuiltResult } from './collect-records.ts';

/** At how many points an export is interrupted. */
const interruptions = 20;
/** A question, a beginning and an upload for four layers and the config, and the manifest with the question for it. */
const requestsOfExport = 17;
const layerBytes = 300_000;

const resources = new AsyncDisposableStack();
// Before the directories go.
after(() => resources.disposeAsync());
const directory = temporaryDirectories();
let registryRig: RegistryRig;
let one: CacheMachine;
let other: CacheMachine;
let result: BuiltResult;

const files = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, randomBytes(layerBytes)]));

before(async () => {
  registryRig = resources.use(await startRegistry());
  const registry = resources.use(createRegistry({ retry: { attempts: 1, firstDelay: 1 } }));
  const credentials = { login: async () => undefined, token: async () => undefined };
  const types = [createRegistryCache({ registry, credentials })];
  one = await CacheMachine.open(path.join(directory(), 'one'), resources, types);
  other = await CacheMachine.open(path.join(directory(), 'other'), resources, types);
  result = await one.built(files);
});

function run(ref: string, signal: AbortSignal): Promise<unknown> {
  const target = one.caches.openExport('registry', { ref, mode: 'max' });
  return target.run([result], { signal, progress: silentProgress, sessionId: '' });
}

test('an export that is interrupted anywhere leaves no manifest whose blobs are missing, and its repetition completes it', async () => {
  let failed = 0;
  for (let turn = 0; turn < interruptions; turn++) {
    const interruption = new AbortController();
    const at = Math.floor(Math.random() * requestsOfExport);
    const kind = turn % 2 === 0 ? 'abort' : 'reset';
    const bytes = Math.floor(Math.random() * layerBytes);
    await using proxy = await FaultProxy.start(registryRig.host, (_incoming, count) => {
      if (count !== at) return undefined;
      if (kind === 'reset') return { kind: 'reset', after: bytes };
      interruption.abort();
      return undefined;
    });
    const ref = `${proxy.host}/interrupted/${turn}:cache`;
    const said = `turn ${turn}: ${kind} at request ${at}, byte ${bytes}`;
    await run(ref, interruption.signal).catch(() => failed++);
    assert.deepEqual(await missingFromRepositories(registryRig.storage), [], said);
    await run(ref, AbortSignal.timeout(60_000));
    assert.deepEqual(await missingFromRepositories(registryRig.storage), [], said);

    const ended = new AbortController();
    const found = other.caches.imports.open({ type: 'registry', attributes: { ref } }, '', ended.signal);
    await found.load(ended.signal);
    assert.equal((await keysOfSteps(found.keys, Object.keys(files))).length, 4, said);
    ended.abort();
  }
  assert.ok(failed > interruptions / 2, `${failed} exports were interrupted`);
});
