import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { KilnError } from '../../base/errors.ts';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { parseReference } from '../../oci/reference.ts';
import { createRegistry } from '../http-registry.ts';
import { access, openPushRig, type PushRig, quick } from '../push-rig.ts';
import { anonymousAuth, type RegistryAuth } from '../registry.ts';
import { TokenServerRig } from './token-server-rig.ts';

let rig: PushRig;
let tokens: TokenServerRig;
/** The answer of the token server, instead of its own. */
let refuses: (method: string) => number | undefined = () => undefined;
const cleanUp = new AsyncDisposableStack();

before(async () => {
  rig = cleanUp.use(await openPushRig());
  tokens = cleanUp.use(
    await TokenServerRig.start({
      users: { builder: 'se/cret:2' },
      identities: { 'identity-of-builder': 'builder' },
      allows(user, repository) {
        if (user === 'builder') return ['pull', 'push'];
        return repository.startsWith('public/') ? ['pull'] : [];
      },
      refuses: ({ method }) => refuses(method ?? ''),
    }),
  );
});
after(() => cleanUp.disposeAsync());

const as = (username: string, secret: string): RegistryAuth => ({
  identity: `${username} ${secret}`,
  credentials: async (host) => (host === tokens.registry.host ? { username, secret } : undefined),
  token: async () => undefined,
});
const builder = as('builder', 'se/cret:2');

test('a registry with tokens is pushed to and pulled from with a password, and with an identity token', async () => {
  for (const auth of [builder, as('', 'identity-of-builder')]) {
    const { reference, layer, manifest } = await rig.push(tokens.registry.host, 'team/app:1', auth);
    await using registry = createRegistry({ retry: quick });
    assert.equal((await registry.resolve(reference, access(auth))).digest, manifest.digest);
    const target = await openLocalContentStore(path.join(rig.directory, `tokens-${auth.identity.length}`));
    await registry.fetchBlob(reference, layer, target, access(auth));
    assert.equal((await target.stat(layer.digest))?.size, layer.size);
  }
  assert.deepEqual(new Set(tokens.requests.map(({ method }) => method)), new Set(['GET', 'POST']));
});

test('a token server that knows OAuth 2 only is asked by it', async () => {
  refuses = (method) => (method === 'GET' ? 405 : undefined);
  try {
    await rig.push(tokens.registry.host, 'team/oauth:1', builder);
  } finally {
    refuses = () => undefined;
  }
});

test('what is public is pulled by anybody, also with a login that is no longer good', async () => {
  const { reference, manifest } = await rig.push(tokens.registry.host, 'public/app:1', builder);
  for (const auth of [anonymousAuth, as('builder', 'old'), as('', 'revoked')]) {
    await using registry = createRegistry({ retry: quick });
    assert.equal((await registry.resolve(reference, access(auth))).digest, manifest.digest);
  }
});

test('a refusal names the registry and what to do, and never the secret', async () => {
  const { reference, layer } = await rig.push(tokens.registry.host, 'team/private:1', builder);
  await using registry = createRegistry({ retry: quick });
  const wrong = as('builder', 'wrong-secret');
  for (const [attempt, code] of [
    [() => registry.resolve(reference, access()), 'unauthenticated'],
    [() => registry.resolve(reference, access(wrong)), 'unauthenticated'],
    [
      () =>
        registry.pushBlob(
          parseReference(`${tokens.registry.host}/new`),
          layer,
          rig.bodyOf(layer),
          access(wrong),
        ),
      'unauthenticated',
    ],
  ] as const) {
    await assert.rejects(attempt(), (error: KilnError) => {
      assert.equal(error.code, code);
      assert.ok(error.message.includes(tokens.registry.host), error.message);
      assert.match(error.hint ?? '', /docker login|logged in/);
      assert.ok(!JSON.stringify([error.message, error.hint, String(error.cause)]).includes('wrong-secret'));
      return true;
    });
  }
});

test('a token that ends in the middle of a build is renewed, once for all that wait for it', async () => {
  const { reference, manifest } = await rig.push(tokens.registry.host, 'team/long:1', builder);
  tokens.lifetime = 2;
  await using registry = createRegistry({ retry: quick });
  await registry.resolve(reference, access(builder));
  const asked = tokens.requests.length;
  tokens.lifetime = 300;
  // The registry looks at the token; the client was told that it is good for long.
  const url = `http://${tokens.registry.host}/v2/team/long/manifests/1`;
  const headers = { authorization: `Bearer ${tokens.latest}` };
  while ((await fetch(url, { headers, method: 'HEAD' })).status !== 401) await delay(50);
  const resolved = await Promise.all(
    Array.from({ length: 8 }, () => registry.resolve(reference, access(builder))),
  );
  assert.deepEqual(new Set(resolved.map(({ digest }) => digest)), new Set([manifest.digest]));
  assert.equal(tokens.requests.length - asked, 1);
});

test('a token server that is busy is asked again', async () => {
  const { reference, manifest } = await rig.push(tokens.registry.host, 'team/busy:1', builder);
  let busy = 2;
  refuses = () => (busy-- > 0 ? 503 : undefined);
  try {
    await using registry = createRegistry({ retry: quick });
    assert.equal((await registry.resolve(reference, access(builder))).digest, manifest.digest);
  } finally {
    refuses = () => undefined;
  }
});

test('a blob is mounted from a repository that the client may read, and uploaded where it may not', async () => {
  const { layer } = await rig.push(tokens.registry.host, 'team/source:1', builder);
  await using registry = createRegistry({ retry: quick });
  const target = parseReference(`${tokens.registry.host}/team/target`);
  const never = { open: () => assert.fail('the blob was opened') };
  const mounting = { ...access(builder), mountFrom: ['team/none', 'team/source'] };
  assert.equal(await registry.pushBlob(target, layer, never, mounting), 'mounted');
});

test('nothing that is kept on the disk has a secret in it', async () => {
  for (const entry of await readdir(rig.directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const bytes = await readFile(path.join(entry.parentPath, entry.name));
    assert.ok(!bytes.includes('se/cret:2') && !bytes.includes('identity-of-builder'), entry.name);
  }
});
