import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Auth } from '../api/gen/session_auth_pb.js';
import { Secrets } from '../api/gen/session_secrets_pb.js';
import { methodPath } from '../api/unary-call.ts';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { HttpRig } from '../http/http-rig.ts';
import { createClientCredentials } from '../session/requests/client-credentials.ts';
import { openSessionRig } from '../session/session-rig.ts';
import { authService } from './auth-service.ts';
import { secretsService } from './secrets-service.ts';

const newDir = temporaryDirectories();

test('logins come from config.json, by host, and Docker Hub by its other name', async () => {
  const config = newDir();
  const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') });
  writeFileSync(
    path.join(config, 'config.json'),
    JSON.stringify({
      auths: {
        'https://index.docker.io/v1/': auth('hub:se:cret'),
        'https://old.example/v1/': auth('old:pass'),
        'token.example': { ...auth('x:y'), identitytoken: 'refresh' },
      },
    }),
  );
  await using rig = await openSessionRig([authService({ configDirectory: config })]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  const ask = (host: string) => credentials.login([rig.session.id], host);
  assert.deepEqual(await ask('registry-1.docker.io'), { username: 'hub', secret: 'se:cret' });
  assert.deepEqual(await ask('old.example'), { username: 'old', secret: 'pass' });
  assert.deepEqual(await ask('token.example'), { username: '', secret: 'refresh' });
  assert.equal(await ask('unknown.example'), undefined);
  writeFileSync(path.join(config, 'config.json'), '{ not json');
  await assert.rejects(ask('old.example'), /not valid JSON/);
});

test('a credential helper is asked, and one that is missing is named', async () => {
  const config = newDir();
  const bin = newDir();
  const helper = path.join(bin, 'docker-credential-kilntest');
  writeFileSync(helper, '#!/bin/sh\nread host\necho "{\\"Username\\":\\"u-$host\\",\\"Secret\\":\\"s\\"}"\n');
  chmodSync(helper, 0o755);
  const before = process.env.PATH;
  process.env.PATH = `${bin}:${before}`;
  try {
    writeFileSync(
      path.join(config, 'config.json'),
      JSON.stringify({ credHelpers: { 'a.example': 'kilntest', 'b.example': 'kiln-missing' } }),
    );
    await using rig = await openSessionRig([authService({ configDirectory: config })]);
    const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
    assert.deepEqual(await credentials.login([rig.session.id], 'a.example'), {
      username: 'u-a.example',
      secret: 's',
    });
    await assert.rejects(credentials.login([rig.session.id], 'b.example'), /docker-credential-kiln-missing/);
  } finally {
    process.env.PATH = before;
  }
});

test('tokens are fetched by the client: by POST with a login, by GET where that is refused, and without a login', async () => {
  const seen: string[] = [];
  await using server = await HttpRig.start({
    otherwise: async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      seen.push(`${request.method} ${request.url} ${request.headers.authorization ?? '-'} ${body}`);
      const refusesPost = request.url?.startsWith('/getonly');
      if (request.method === 'POST' && refusesPost) response.writeHead(405).end();
      else if (request.url?.startsWith('/closed')) response.writeHead(401).end();
      else
        response.end(
          JSON.stringify({ token: `t${seen.length}`, expires_in: 300, issued_at: '2026-01-02T03:04:05Z' }),
        );
    },
  });
  const config = newDir();
  writeFileSync(
    path.join(config, 'config.json'),
    JSON.stringify({ auths: { 'login.example': { username: 'u', password: 'p' } } }),
  );
  await using rig = await openSessionRig([authService({ configDirectory: config })]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  const fetchToken = (host: string, realm: string) =>
    credentials.token([rig.session.id], {
      host,
      realm: server.url(realm),
      service: 'svc',
      clientId: 'x',
      scopes: ['a:b:pull', 'c'],
    });
  assert.deepEqual(await fetchToken('login.example', '/token'), {
    token: 't1',
    expiresIn: 300,
    issuedAt: new Date('2026-01-02T03:04:05Z'),
  });
  assert.equal((await fetchToken('login.example', '/getonly'))?.token, 't3');
  assert.equal((await fetchToken('other.example', '/token'))?.token, 't4');
  await assert.rejects(fetchToken('other.example', '/closed'), { code: 'unauthenticated' });
  assert.match(seen[0]!, /^POST \/token - .*grant_type=password/);
  assert.match(seen[2]!, /^GET \/getonly\?service=svc&scope=a%3Ab%3Apull&scope=c Basic dTpw /);
  assert.match(seen[3]!, /^GET \/token\?service=svc&scope=a%3Ab%3Apull&scope=c - $/);
});

test('a client without logins at all has no credentials and no tokens', async () => {
  await using rig = await openSessionRig([]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  const request = { host: 'h', realm: 'http://127.0.0.1:1/', service: '', clientId: '', scopes: [] };
  assert.equal(await credentials.login([rig.session.id], 'h'), undefined);
  assert.equal(await credentials.token([rig.session.id], request), undefined);
});

test('a client that does not answer is not waited for when another has the secret, or the login', {
  timeout: 60_000,
}, async () => {
  const silent = async ({ signal }: { readonly signal: AbortSignal }) => {
    await once(signal, 'abort');
  };
  await using rig = await openSessionRig([
    { [methodPath(Secrets.method.getSecret)]: silent, [methodPath(Auth.method.credentials)]: silent },
  ]);
  const config = newDir();
  const encoded = Buffer.from('me:pass').toString('base64');
  writeFileSync(
    path.join(config, 'config.json'),
    JSON.stringify({ auths: { 'a.example': { auth: encoded } } }),
  );
  writeFileSync(path.join(config, 'secret'), 'word');
  const other = await rig.join([
    secretsService([{ id: 's', kind: 'file', path: path.join(config, 'secret') }]),
    authService({ configDirectory: config }),
  ]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  const ids = [rig.session.id, other];
  const [secret, login] = await Promise.all([
    credentials.secret(ids, 's'),
    credentials.login(ids, 'a.example'),
  ]);
  assert.equal(Buffer.from(secret).toString(), 'word');
  assert.deepEqual(login, { username: 'me', secret: 'pass' });
});
