import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SourceOp } from '../../llb/op.ts';
import type { SourceCheck, SourceVerdict } from '../../session/requests/source-verifier.ts';
import { SourceGuard } from './source-guard.ts';
import type { SourceRule } from './source-policy.ts';

const platform = { os: 'linux', architecture: 'amd64' };
const signal = new AbortController().signal;
const full = 'docker-image://docker.io/library/busybox:latest';
const image: SourceOp = { identifier: 'docker-image://busybox', attrs: {} };
const nothingKnown = async () => ({});

/** A client that gives these answers, one for each question; keeps what it was asked. */
function client(...answers: readonly SourceVerdict[]) {
  const asked: SourceCheck[] = [];
  const ask = async (check: SourceCheck) => {
    asked.push(check);
    return answers[Math.min(asked.length, answers.length) - 1]!;
  };
  return { asked, ask };
}

function deny(identifier: string): SourceRule {
  return { action: 'deny', selector: { identifier, match: 'wildcard', constraints: [] } };
}

test('image references are made full before rules and clients see them', async () => {
  const { asked, ask } = client({ kind: 'allow' });
  const admitted = await new SourceGuard([], ask).admit(image, platform, nothingKnown, signal);
  assert.equal(admitted.identifier, full);
  assert.deepEqual(asked, [{ source: { identifier: full, attrs: {} }, platform }]);
});

test('a blob of an image has one name, however its repository was written', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const guard = new SourceGuard([{ rules: [deny('docker-image+blob://docker.io/library/app@*')] }]);
  const admit = (name: string) =>
    guard.admit(
      { identifier: `docker-image+blob://${name}@${digest}`, attrs: {} },
      platform,
      nothingKnown,
      signal,
    );
  for (const written of ['app', 'library/app', 'docker.io/app', 'docker.io/library/app']) {
    await assert.rejects(admit(written), /: source denied by policy/);
  }
  const other = await admit('host.example/app');
  assert.equal(other.identifier, `docker-image+blob://host.example/app@${digest}`);
});

test('errors name a source without its user and password', async () => {
  const guard = new SourceGuard([{ rules: [deny('https://*')] }]);
  const source = { identifier: 'https://me:secret@host/file', attrs: {} };
  await assert.rejects(guard.admit(source, platform, nothingKnown, signal), {
    code: 'permission_denied',
    message: /^source "https:\/\/xxxxx:xxxxx@host\/file" denied by policy/,
  });
});

test('a directory of a repository has one name, however the way to it was written', async () => {
  const denied = 'git://host/user/repo.git#main:absolute/path';
  const guard = new SourceGuard([{ rules: [deny(denied)] }]);
  const admit = (subdir: string) => {
    const source = { identifier: `git://host/user/repo.git${subdir}`, attrs: {} };
    return guard.admit(source, platform, nothingKnown, signal);
  };
  for (const written of ['absolute/path', '../absolute/path', '/absolute//x/../path/']) {
    await assert.rejects(admit(`#main:${written}`), /: source denied by policy/);
  }
  for (const other of ['', '#main', '#main:absolute', '#absolute/path']) {
    assert.equal((await admit(other)).identifier, `git://host/user/repo.git${other}`);
  }
  assert.equal((await admit('#main:/')).identifier, 'git://host/user/repo.git#main');
});

test('a client is not asked about what the rules deny', async () => {
  const { asked, ask } = client({ kind: 'allow' });
  const guard = new SourceGuard([{ rules: [deny('*')] }], ask);
  await assert.rejects(guard.admit(image, platform, nothingKnown, signal), { code: 'permission_denied' });
  assert.equal(asked.length, 0);
});

test('a client says why it denies a source', async () => {
  const { ask } = client({ kind: 'deny', messages: ['not signed', 'too old'] });
  await assert.rejects(new SourceGuard([], ask).admit(image, platform, nothingKnown, signal), {
    code: 'permission_denied',
    message: `source "${full}" not allowed by policy: action DENY: not signed; too old`,
    details: [{ kind: 'denied', messages: ['not signed', 'too old'] }],
  });
});

test('what a client converts a source into is asked about again, and has to pass the rules', async () => {
  const other: SourceOp = { identifier: 'docker-image://mirror.example/busybox:1', attrs: { a: 'b' } };
  const { asked, ask } = client({ kind: 'convert', source: other }, { kind: 'allow' });
  assert.deepEqual(await new SourceGuard([], ask).admit(image, platform, nothingKnown, signal), other);
  assert.deepEqual(asked[1]?.source, other);

  const again = client({ kind: 'convert', source: other });
  const guard = new SourceGuard([{ rules: [deny('*mirror*')] }], again.ask);
  await assert.rejects(guard.admit(image, platform, nothingKnown, signal), /mirror.*denied by policy/);
});

test('a client is told what it wants to know', async () => {
  const source = { identifier: full, attrs: {} };
  const request = { source, platform, resolveMode: '', logName: undefined, noConfig: false };
  const { asked, ask } = client({ kind: 'resolve', request }, { kind: 'allow' });
  const known = { digest: 'sha256:aa', config: new Uint8Array([1]) };
  await new SourceGuard([], ask).admit(image, platform, async () => ({ image: known }), signal);
  assert.deepEqual(asked[1], { source, platform, image: known });
});

test('a client may not ask about another source than it was asked about', async () => {
  const source = { identifier: 'docker-image://docker.io/library/other:latest', attrs: {} };
  const request = { source, platform, resolveMode: '', logName: undefined, noConfig: false };
  const { ask } = client({ kind: 'resolve', request });
  await assert.rejects(new SourceGuard([], ask).admit(image, platform, nothingKnown, signal), {
    code: 'invalid_argument',
  });
});

test('a client that never decides is given up', async () => {
  const request = {
    source: { identifier: full, attrs: {} },
    platform,
    resolveMode: '',
    logName: undefined,
    noConfig: false,
  };
  const { asked, ask } = client({ kind: 'resolve', request });
  await assert.rejects(
    new SourceGuard([], ask).admit(image, platform, nothingKnown, signal),
    /no decision in 10 answers/,
  );
  assert.equal(asked.length, 10);
});

test('more policies hold besides those that there are', async () => {
  const guard = new SourceGuard([{ rules: [deny('a://*')] }]).with([{ rules: [deny('b://*')] }]);
  for (const identifier of ['a://x', 'b://x']) {
    await assert.rejects(guard.admit({ identifier, attrs: {} }, platform, nothingKnown, signal));
  }
  assert.equal(
    (await guard.admit({ identifier: 'c://x', attrs: {} }, platform, nothingKnown, signal)).identifier,
    'c://x',
  );
});
