import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { createClientCredentials } from '../session/requests/client-credentials.ts';
import { openSessionRig } from '../session/session-rig.ts';
import { pipeWith } from './pipe-rig.ts';
import { openSshService } from './ssh-service.ts';

const newDir = temporaryDirectories();
const agentRequest = { uid: 0, gid: 0, mode: 0o600, optional: false };

test('an ssh agent is reached through a socket of the engine, but only to list keys and to sign', async () => {
  const dir = newDir();
  const agentPath = path.join(dir, 'agent.sock');
  const requests: number[] = [];
  const agent = createServer((socket) => {
    socket.on('data', (data) => {
      requests.push(data[4]!);
      socket.write(Buffer.of(0, 0, 0, 5, 12, 0, 0, 0, 0));
    });
  });
  agent.listen({ path: agentPath });
  await once(agent, 'listening');
  try {
    await using ssh = await openSshService([{ id: 'work', paths: [agentPath], raw: false }]);
    await using rig = await openSessionRig([ssh.service]);
    const credentials = createClientCredentials(rig.sessions, { directory: path.join(rig.dir, 'sockets') });
    const forwarded = await credentials.sshAgent([rig.session.id], { ...agentRequest, id: 'work' });
    assert.ok(forwarded);
    assert.equal(statSync(forwarded.path).mode & 0o777, 0o600);
    const socket = connect({ path: forwarded.path });
    const ask = async (message: Buffer) => {
      socket.write(message);
      return ((await once(socket, 'data')) as [Buffer])[0];
    };
    assert.equal((await ask(Buffer.of(0, 0, 0, 1, 11)))[4], 12);
    assert.deepEqual(
      await ask(Buffer.of(0, 0, 0, 1, 19)),
      Buffer.of(0, 0, 0, 1, 5),
      'removing all keys is refused',
    );
    assert.deepEqual(requests, [11]);
    socket.end();
    await forwarded[Symbol.asyncDispose]();
    assert.equal(existsSync(forwarded.path), false);
    const missing = { ...agentRequest, id: 'other' };
    await assert.rejects(credentials.sshAgent([rig.session.id], missing), { code: 'not_found' });
    assert.equal(await credentials.sshAgent([rig.session.id], { ...missing, optional: true }), undefined);
  } finally {
    agent.close();
  }
});

test('a raw socket is passed through, with half-closing', async () => {
  const dir = newDir();
  const target = path.join(dir, 'any.sock');
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    let text = '';
    for await (const chunk of socket) text += chunk;
    socket.end(text.toUpperCase());
  });
  server.listen({ path: target });
  await once(server, 'listening');
  try {
    await using ssh = await openSshService([{ id: '', paths: [target], raw: true }]);
    await using rig = await openSessionRig([ssh.service]);
    const credentials = createClientCredentials(rig.sessions, { directory: path.join(rig.dir, 'sockets') });
    await using forwarded = await credentials.sshAgent([rig.session.id], { ...agentRequest, id: 'default' });
    const socket = connect({ path: forwarded!.path, allowHalfOpen: true });
    socket.end('hello '.repeat(50_000));
    let text = '';
    for await (const chunk of socket) text += chunk;
    assert.equal(text, 'HELLO '.repeat(50_000));
  } finally {
    server.close();
  }
});

test('an ssh source that does not exist, or does not fit, is refused', async () => {
  const file = path.join(newDir(), 'key');
  writeFileSync(file, 'no key');
  await assert.rejects(openSshService([{ id: 'a', paths: [`${file}-gone`], raw: false }]), {
    code: 'not_found',
  });
  await assert.rejects(openSshService([{ id: 'a', paths: [file], raw: true }]), { code: 'invalid_argument' });
  await assert.rejects(openSshService([{ id: 'a', paths: [file], raw: false }]), {
    code: 'failed_precondition',
  });
});

test('key files are loaded into an agent of their own, or what is missing for that is said', async () => {
  const key = path.join(newDir(), 'key');
  if (!hasSshAgent()) {
    writeFileSync(key, '');
    await assert.rejects(
      openSshService([{ id: 'default', paths: [key], raw: false }]),
      /cannot start ssh-agent/,
    );
    return;
  }
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'kiln test', '-f', key]);
  for (const file of [key, pipeWith(`cat ${key}`, newDir())]) {
    await using ssh = await openSshService([{ id: 'default', paths: [file], raw: false }]);
    await using rig = await openSessionRig([ssh.service]);
    const credentials = createClientCredentials(rig.sessions, { directory: path.join(rig.dir, 'sockets') });
    await using forwarded = await credentials.sshAgent([rig.session.id], { ...agentRequest, id: 'default' });
    const env = { ...process.env, SSH_AUTH_SOCK: forwarded!.path };
    const { stdout } = await promisify(execFile)('ssh-add', ['-l'], { env });
    assert.match(stdout, /ED25519/);
  }
});

function hasSshAgent(): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v ssh-agent && command -v ssh-add && command -v ssh-keygen'], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}
