import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { silentProgress } from '../../base/progress.ts';
import { freePort } from '../../base/testing/free-port.ts';
import { openSshService } from '../../client-services/ssh-service.ts';
import { createClientCredentials } from '../../session/requests/client-credentials.ts';
import { openSessionRig, type SessionRig } from '../../session/session-rig.ts';
import type { SourceContext } from '../source.ts';
import { type GitAccessOptions, openGitAccess } from './git-access.ts';
import { parseGitRequest } from './git-request.ts';
import { GitRepository } from './git-rig.ts';
import { resolveRef } from './resolve-ref.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'kiln-git-ssh-'));
const resources = new AsyncDisposableStack();
let url: string;
let commit: string;
let hostKey: string;
let client: SessionRig;

before(async () => {
  resources.defer(() => rmSync(directory, { recursive: true }));
  const repository = new GitRepository(path.join(directory, 'app.git'));
  commit = repository.commit({ a: 'a' });
  for (const name of ['host', 'user', 'stranger']) makeKey(name);
  copyFileSync(at('user.pub'), at('authorized'));
  const port = await startSshd();
  url = `ssh://${userInfo().username}@127.0.0.1:${port}${repository.directory}`;
  hostKey = `[127.0.0.1]:${port} ${readFileSync(at('host.pub'), 'utf8')}`;
  const agents = resources.use(
    await openSshService([
      { id: 'default', paths: [at('user')], raw: false },
      { id: 'other', paths: [at('stranger')], raw: false },
    ]),
  );
  client = resources.use(await openSessionRig([agents.service]));
});
after(() => resources.disposeAsync());

function at(name: string): string {
  return path.join(directory, name);
}

function makeKey(name: string): void {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
}

/** A server that lets the key `user` in, as whoever runs the tests. Returns its port. */
async function startSshd(): Promise<number> {
  const port = await freePort();
  const settings = {
    ListenAddress: `127.0.0.1:${port}`,
    HostKey: at('host'),
    AuthorizedKeysFile: at('authorized'),
    PasswordAuthentication: 'no',
    PermitRootLogin: 'prohibit-password',
    PidFile: 'none',
    StrictModes: 'no',
    UsePAM: 'no',
  };
  writeFileSync(
    at('sshd_config'),
    Object.entries(settings)
      .map(([key, value]) => `${key} ${value}\n`)
      .join(''),
  );
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const sshd = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', at('sshd_config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  resources.defer(() => end(sshd));
  let said = '';
  for await (const data of sshd.stderr!) {
    said += String(data);
    if (said.includes('Server listening')) {
      sshd.stderr!.resume();
      return port;
    }
  }
  throw new Error(`sshd did not start: ${said}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** Asks the remote for its main branch as a build does. */
async function resolveMain(attrs: Readonly<Record<string, string>>): Promise<string> {
  const request = parseGitRequest({
    identifier: 'git://host/app.git#main',
    attrs: { 'git.fullurl': url, ...attrs },
  });
  const options: GitAccessOptions = {
    credentials: createClientCredentials(client.sessions, { directory: at('sockets') }),
    directory: at('git'),
  };
  const context: SourceContext = {
    signal: AbortSignal.timeout(60_000),
    progress: silentProgress,
    sessions: () => [client.session.id],
    retain() {},
  };
  await using access = await openGitAccess(request, options, context);
  return (await resolveRef(access.git, request)).object;
}

test("the client's ssh agent opens a repository, on a server with a known key or any", async () => {
  assert.equal(await resolveMain({ 'git.mountsshsock': 'default', 'git.knownsshhosts': hostKey }), commit);
  assert.equal(await resolveMain({ 'git.mountsshsock': 'default' }), commit);
});

test('a server with another key than the known one is not talked to', async () => {
  const other = hostKey.replace(
    / \S+ \S+/,
    ` ${readFileSync(at('stranger.pub'), 'utf8').split(' ').slice(0, 2).join(' ')}`,
  );
  await assert.rejects(resolveMain({ 'git.mountsshsock': 'default', 'git.knownsshhosts': other }), {
    code: 'permission_denied',
    hint: /known hosts/,
  });
});

test('without a key that the server knows the hint is to forward an agent', async () => {
  for (const agent of ['other', '']) {
    await assert.rejects(resolveMain({ 'git.mountsshsock': agent }), {
      code: 'unauthenticated',
      hint: /--ssh default/,
    });
  }
  await assert.rejects(resolveMain({ 'git.mountsshsock': 'none' }), {
    code: 'not_found',
    message: /no SSH key "none"/,
  });
});
