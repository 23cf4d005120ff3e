import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { parseReference } from '../../oci/reference.ts';
import { createRegistry } from '../http-registry.ts';
import { access, isBlob, openPushRig, type PushRig, quick } from '../push-rig.ts';
import { anonymousAuth, type RegistryAuth } from '../registry.ts';
import { startRegistry } from '../registry-rig.ts';

/** `htpasswd` of user `kiln`, password `secret`. */
const htpasswd = 'kiln:$2b$04$DtsZWD1hwJjPV2183yNLNOh.afvyJhnss7GVUtfRCJnYmAYjsCw7y\n';

let rig: PushRig;
before(async () => {
  rig = await openPushRig();
});
after(() => rig[Symbol.asyncDispose]());

test('basic authentication is answered, and without credentials the error says what to do', async () => {
  await using secured = await startRegistry({ htpasswd });
  const auth: RegistryAuth = {
    ...anonymousAuth,
    identity: 'somebody',
    credentials: async (host) => (host === secured.host ? { username: 'kiln', secret: 'secret' } : undefined),
  };
  const { reference, manifest } = await rig.push(secured.host, 'private:1', auth);
  await using registry = createRegistry({ retry: quick });
  assert.equal((await registry.resolve(reference, access(auth))).digest, manifest.digest);
  await assert.rejects(
    registry.resolve(reference, access()),
    (error: Error & { code: string; hint: string }) => {
      assert.equal(error.code, 'unauthenticated');
      assert.match(error.message, new RegExp(`${secured.host}/private:1: pull access denied.*answered 401`));
      assert.equal(error.hint.includes(`docker login ${secured.host}`), true);
      return true;
    },
  );
});

test('bearer tokens are fetched once per client and repository, and stay with the registry on redirects', async () => {
  const { layer, manifest } = await rig.push(rig.host, 'tokens:1');
  const tokenRequests: URL[] = [];
  const storageRequests: IncomingMessage[] = [];
  await using storage = await rig.startMeddler((incoming) => {
    storageRequests.push(incoming);
    return false;
  });
  await using meddler = await rig.startMeddler((incoming, outgoing, host) => {
    const url = new URL(incoming.url!, `http://${host}`);
    if (url.pathname === '/token') {
      tokenRequests.push(url);
      const user = Buffer.from(
        (incoming.headers.authorization ?? '').replace('Basic ', ''),
        'base64',
      ).toString();
      outgoing.end(JSON.stringify({ token: `token-of-${user.split(':')[0]}`, expires_in: 300 }));
      return true;
    }
    if (!incoming.headers.authorization?.startsWith('Bearer token-of-')) {
      const challenge = `Bearer realm="http://${host}/token",service="test",scope="repository:tokens:pull"`;
      outgoing.writeHead(401, { 'www-authenticate': challenge }).end();
      return true;
    }
    if (!isBlob(incoming)) return false;
    outgoing.writeHead(307, { location: `http://${storage.host}${incoming.url}` }).end();
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const reference = parseReference(`${meddler.host}/tokens:1`);
  const auth = (name: string): RegistryAuth => ({
    ...anonymousAuth,
    identity: name,
    credentials: async () => ({ username: name, secret: 'x' }),
  });
  const target = await openLocalContentStore(path.join(rig.directory, 'tokens'));
  assert.equal((await registry.resolve(reference, access(auth('ann')))).digest, manifest.digest);
  await registry.fetchBlob(reference, layer, target, access(auth('ann')));
  assert.equal(tokenRequests.length, 1);
  assert.deepEqual(tokenRequests[0]!.searchParams.getAll('scope'), ['repository:tokens:pull']);
  assert.equal(tokenRequests[0]!.searchParams.get('account'), 'ann');
  assert.equal(storageRequests.length, 1);
  assert.equal(storageRequests[0]!.headers.authorization, undefined);
  await registry.resolve(reference, access(auth('bob')));
  assert.equal(tokenRequests.length, 2);
});

test('a token that the client fetched itself is used instead of credentials', async () => {
  const { manifest } = await rig.push(rig.host, 'delegated:1');
  await using meddler = await rig.startMeddler((incoming, outgoing, host) => {
    if (incoming.headers.authorization === 'Bearer from-client') return false;
    outgoing.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token",service="s"` }).end();
    return true;
  });
  await using registry = createRegistry({ retry: quick });
  const auth: RegistryAuth = {
    identity: 'client',
    credentials: () => assert.fail('credentials were asked for'),
    token: async (asked) => {
      assert.deepEqual(asked.scopes, ['repository:delegated:pull']);
      return { token: 'from-client', expiresIn: 60 };
    },
  };
  const resolved = await registry.resolve(parseReference(`${meddler.host}/delegated:1`), access(auth));
  assert.equal(resolved.digest, manifest.digest);
});
