import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { silentProgress } from '../../base/progress.ts';
import { type Descriptor, mediaTypes } from '../../oci/descriptor.ts';
import type { BlobProvider } from '../layer-import.ts';
import { BlobProviders } from './blob-providers.ts';

const blob: Descriptor = { mediaType: mediaTypes.ociLayerGzip, digest: digestOf('blob'), size: 4 };

const whole: BlobProvider = { fetch: async () => {} };
const failing = (message: string): BlobProvider => ({
  fetch: () => Promise.reject(new KilnError('unavailable', message)),
});
/** Brings `bytes` at once and then nothing, until it is told to stop. */
function stalling(bytes = 0): BlobProvider & { readonly stopped: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    stopped: promise,
    fetch: (_, { signal, progress }) =>
      new Promise((_resolve, reject) => {
        progress.status({ id: 'blob', current: bytes });
        signal.addEventListener('abort', () => {
          resolve();
          reject(signal.reason);
        });
      }),
  };
}

function providersOf(...providers: readonly BlobProvider[]): BlobProviders {
  const all = new BlobProviders(20);
  for (const provider of providers) all.add(blob.digest, provider);
  return all;
}

const context = () => ({ signal: new AbortController().signal, progress: silentProgress });

test('a provider that stalls is not waited for alone, and is stopped when another has brought the blob', async () => {
  const stalled = [stalling(), stalling(1000)];
  await providersOf(whole, ...stalled).fetch(blob, context());
  await Promise.all(stalled.map(({ stopped }) => stopped));
});

test('a provider that fails gives way to the next; when all fail, the first of them says why', async () => {
  await providersOf(whole, failing('one'), failing('two')).fetch(blob, context());
  await assert.rejects(providersOf(failing('one'), failing('two')).fetch(blob, context()), {
    message: 'two',
  });
});

test('nobody else is asked while a provider brings enough, and who leaves stops it', async () => {
  const leaving = new AbortController();
  const stalled = stalling();
  let ticks = 0;
  const busy: BlobProvider = {
    fetch: (_, { signal, progress }) =>
      new Promise((_resolve, reject) => {
        const timer = setInterval(() => {
          progress.status({ id: 'blob', current: ++ticks * 100_000_000 });
          if (ticks === 100) leaving.abort();
        }, 1);
        signal.addEventListener('abort', () => {
          clearInterval(timer);
          reject(signal.reason);
        });
      }),
  };
  const others: BlobProvider = { fetch: () => assert.fail('asked all the same') };
  await assert.rejects(providersOf(others, busy).fetch(blob, { ...context(), signal: leaving.signal }), {
    code: 'canceled',
  });
  const left = providersOf(stalled).fetch(blob, { ...context(), signal: AbortSignal.timeout(1) });
  await assert.rejects(left, { code: 'canceled' });
  await stalled.stopped;
});

test('of providers for builds that have ended the last of each origin is kept, and asked after the others', async () => {
  const asked: string[] = [];
  const named = (name: string, more: Partial<BlobProvider>): BlobProvider => ({
    fetch: () => {
      asked.push(name);
      return Promise.reject(new KilnError('unavailable', name));
    },
    ...more,
  });
  const ended = { isIdle: () => true, origin: 'registry' };
  const all = providersOf(
    named('live', {}),
    named('first', ended),
    named('elsewhere', { ...ended, origin: 'other' }),
    named('second', ended),
    named('gone', { isGone: () => true }),
  );
  await assert.rejects(all.fetch(blob, context()), { message: 'live' });
  assert.deepEqual(asked, ['live', 'second', 'elsewhere']);
  all.forget(blob.digest);
  assert.equal(all.has(blob.digest), false);
  await assert.rejects(all.fetch(blob, context()), { code: 'not_found' });
});
