import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grantRequest, parseToken, tokenRequest } from './token-protocol.ts';

const query = {
  realm: 'https://auth.example/token?from=realm',
  service: 'example',
  scopes: ['repository:a:pull', 'repository:b:pull,push'],
};

test('a token is asked for by GET with every scope, and with the login if there is one', () => {
  const anonymous = tokenRequest(query, undefined);
  assert.equal(anonymous.method, 'GET');
  assert.deepEqual(
    [...anonymous.url.searchParams],
    [
      ['from', 'realm'],
      ['service', 'example'],
      ['scope', 'repository:a:pull'],
      ['scope', 'repository:b:pull,push'],
    ],
  );
  assert.deepEqual(anonymous.headers, {});
  const { headers } = tokenRequest(query, { username: 'me', password: 'p:w' });
  assert.deepEqual(headers, { authorization: `Basic ${Buffer.from('me:p:w').toString('base64')}` });
});

test('an identity token or a login is exchanged by POST', async () => {
  const formOf = async (grant: Parameters<typeof grantRequest>[1], scopes = query.scopes) => {
    const { method, body } = grantRequest({ ...query, scopes }, grant);
    assert.equal(method, 'POST');
    return Object.fromEntries(new URLSearchParams(Buffer.from((await body!()) as Uint8Array).toString()));
  };
  assert.deepEqual(await formOf({ kind: 'refresh', refreshToken: 'r' }), {
    service: 'example',
    client_id: 'kiln',
    scope: 'repository:a:pull repository:b:pull,push',
    grant_type: 'refresh_token',
    refresh_token: 'r',
  });
  assert.deepEqual(await formOf({ kind: 'password', username: 'me', password: 'pw' }, []), {
    service: 'example',
    client_id: 'kiln',
    grant_type: 'password',
    username: 'me',
    password: 'pw',
  });
});

test('an answer has a token under either name, or none', () => {
  const issued = '2026-01-02T03:04:05Z';
  assert.deepEqual(parseToken(JSON.stringify({ token: 't', expires_in: 300, issued_at: issued }), 'token'), {
    token: 't',
    expiresIn: 300,
    issuedAt: new Date(issued),
  });
  assert.deepEqual(parseToken('{"access_token":"a","issued_at":"soon"}', 'token'), {
    token: 'a',
    expiresIn: 0,
  });
  assert.equal(parseToken('{"access_token":"a","token":"t"}', 'access_token')?.token, 'a');
  assert.equal(parseToken('{"access_token":"a","token":"t"}', 'token')?.token, 't');
  assert.equal(parseToken('{"access_token":"","token":"t"}', 'access_token')?.token, 't');
  for (const text of ['', 'null', '[]', '{"token":""}', '{"token":1}']) {
    assert.equal(parseToken(text, 'token'), undefined, text);
  }
});
