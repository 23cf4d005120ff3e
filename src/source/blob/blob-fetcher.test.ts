import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { silentProgress } from '../../base/progress.ts';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { parseReference } from '../../oci/reference.ts';
import { clientAuth, type RegistryCredentials } from '../../registry/client-auth.ts';
import { createRegistry } from '../../registry/http-registry.ts';
import { startRegistry } from '../../registry/registry-rig.ts';
import { SessionRegistry } from '../../session/session-registry.ts';
import type { SourceContext } from '../source.ts';
import { BlobFetcher } from './blob-fetcher.ts';
import { parseBlobPlace } from './blob-place.ts';

/** `htpasswd` of user `kiln`, password `secret`. */
const htpasswd = 'kiln:$2b$04$DtsZWD1hwJjPV2183yNLNOh.afvyJhnss7GVUtfRCJnYmAYjsCw7y\n';

test('a blob that somebody with a login brought is not given to those who have none', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'kiln-blobs-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rmSync(directory, { recursive: true }));
  const { host } = resources.use(await startRegistry({ htpasswd }));
  const registry = resources.use(createRegistry());
  const content = await openLocalContentStore(directory);
  const credentials: RegistryCredentials = {
    login: async ([session]) => (session === 'member' ? { username: 'kiln', secret: 'secret' } : undefined),
    token: async () => undefined,
  };
  const signal = AbortSignal.timeout(30_000);
  const bytes = Buffer.from('a secret');
  const digest = digestOf(bytes);
  const body = {
    async open() {
      return (async function* () {
        yield bytes;
      })();
    },
  };
  await registry.pushBlob(
    parseReference(`${host}/private`),
    { mediaType: 'application/octet-stream', digest, size: bytes.length },
    body,
    { signal, auth: clientAuth(credentials, ['member']) },
  );
  const blobs = new BlobFetcher({ registry, content, credentials, sessions: new SessionRegistry() });
  const place = parseBlobPlace(`docker-image+blob://${host}/private@${digest}`);
  const as = (session: string): SourceContext => ({
    ...{ signal, progress: silentProgress, retain() {} },
    sessions: () => [session],
  });
  await blobs.find(place, as('member'));
  await blobs.bring(place, as('member'));
  assert.ok(await content.stat(digest));
  await assert.rejects(blobs.find(place, as('stranger')), { code: 'unauthenticated' });
  await assert.rejects(blobs.bring(place, as('stranger')), { code: 'unauthenticated' });
});
