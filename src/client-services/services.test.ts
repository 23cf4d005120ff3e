import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createSocketServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Auth } from '../api/gen/session_auth_pb.js';
import { Secrets } from '../api/gen/session_secrets_pb.js';
import { methodPath } from '../api/unary-call.ts';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { createClientOutput } from '../file-sync/client-output.ts';
import { type ClientSink, fileSendService } from '../file-sync/file-send-service.ts';
import { createClientCredentials } from '../session/requests/client-credentials.ts';
import { createContentClient } from '../session/requests/content-client.ts';
import { openSessionRig } from '../session/session-rig.ts';
import { authService } from './auth-service.ts';
import { contentService } from './content-service.ts';
import { secretsService } from './secrets-service.ts';
import { openSshService } from './ssh-service.ts';

const root = mkdtempSync(path.join(tmpdir(), 'kiln-services-'));
const pool = new ThreadPool({ size: 2 });
after(async () => {
  await pool[Symbol.asyncDispose]();
  rmSync(root, { recursive: true });
});
let directories = 0;
function newDir(): string {
  const dir = path.join(root, `d${directories++}`);
  mkdirSync(dir);
  return dir;
}
const hasCode = (code: string) => (error: unknown) => error instanceof KilnError && error.code === code;

test('secrets come from files and the environment, and one that is missing is said by name', async () => {
  const file = path.join(newDir(), 'secret');
  writeFileSync(file, Buffer.from([0, 255, 10]));
  process.env.KILN_TEST_SECRET = 'from the environment';
  await using rig = await openSessionRig([
    secretsService([
      { id: 'file', kind: 'file', path: file },
      { id: 'variable', kind: 'environment', variable: 'KILN_TEST_SECRET' },
      { id: 'gone', kind: 'file', path: `${file}-gone` },
    ]),
  ]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  const ids = [rig.session.id];
  assert.deepEqual(Buffer.from(await credentials.secret(ids, 'file')), Buffer.from([0, 255, 10]));
  assert.equal(Buffer.from(await credentials.secret(ids, 'variable')).toString(), 'from the environment');
  await assert.rejects(credentials.secret(ids, 'other'), (error: KilnError) => {
    assert.equal(error.code, 'not_found');
    assert.match(error.message, /"other"/);
    return true;
  });
  await assert.rejects(credentials.secret([], 'file'), hasCode('not_found'));
});

/** A pipe with a name, and who writes to it once it is read. */
function pipeWith(command: string): string {
  const pipe = path.join(newDir(), 'pipe');
  execFileSync('mkfifo', [pipe]);
  execFile('sh', ['-c', `${command} > ${pipe}`], () => {});
  return pipe;
}

test('a secret that can be read only once is there each time, under each of its names', async () => {
  const pipe = pipeWith('echo hush');
  await using rig = await openSessionRig([
    secretsService([
      { id: 'one', kind: 'file', path: pipe },
      { id: 'two', kind: 'file', path: pipe },
    ]),
  ]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  const text = async (id: string) => Buffer.from(await credentials.secret([rig.session.id], id)).toString();
  assert.deepEqual(await Promise.all([text('one'), text('one')]), ['hush\n', 'hush\n']);
  assert.equal(await text('one'), 'hush\n');
  assert.equal(await text('two'), 'hush\n');
});

test('a secret that never ends is refused when it is too large', async () => {
  const sources = [pipeWith('yes'), '/dev/zero'].map(
    (file, index) => ({ id: `${index}`, kind: 'file', path: file }) as const,
  );
  await using rig = await openSessionRig([secretsService(sources)]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  for (const { id } of sources) {
    await assert.rejects(credentials.secret([rig.session.id], id), (error: KilnError) => {
      assert.match(error.message, /is larger than 512000 bytes/);
      return true;
    });
  }
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
  const server = createServer(async (request, response) => {
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
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = newDir();
  writeFileSync(
    path.join(config, 'config.json'),
    JSON.stringify({ auths: { 'login.example': { username: 'u', password: 'p' } } }),
  );
  try {
    await using rig = await openSessionRig([authService({ configDirectory: config })]);
    const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
    const fetchToken = (host: string, realm: string) =>
      credentials.token([rig.session.id], {
        host,
        realm: `${base}${realm}`,
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
    await assert.rejects(fetchToken('other.example', '/closed'), hasCode('unauthenticated'));
    assert.match(seen[0]!, /^POST \/token - .*grant_type=password/);
    assert.match(seen[2]!, /^GET \/getonly\?service=svc&scope=a%3Ab%3Apull&scope=c Basic dTpw /);
    assert.match(seen[3]!, /^GET \/token\?service=svc&scope=a%3Ab%3Apull&scope=c - $/);
  } finally {
    server.close();
  }
});

test('a client without logins at all has no credentials and no tokens', async () => {
  await using rig = await openSessionRig([]);
  const credentials = createClientCredentials(rig.sessions, { directory: rig.dir });
  const request = { host: 'h', realm: 'http://127.0.0.1:1/', service: '', clientId: '', scopes: [] };
  assert.equal(await credentials.login([rig.session.id], 'h'), undefined);
  assert.equal(await credentials.token([rig.session.id], request), undefined);
});

const agentRequest = { uid: 0, gid: 0, mode: 0o600, optional: false };

test('an ssh agent is reached through a socket of the engine, but only to list keys and to sign', async () => {
  const dir = newDir();
  const agentPath = path.join(dir, 'agent.sock');
  const requests: number[] = [];
  const agent = createSocketServer((socket) => {
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
    await assert.rejects(credentials.sshAgent([rig.session.id], missing), hasCode('not_found'));
    assert.equal(await credentials.sshAgent([rig.session.id], { ...missing, optional: true }), undefined);
  } finally {
    agent.close();
  }
});

test('a raw socket is passed through, with half-closing', async () => {
  const dir = newDir();
  const target = path.join(dir, 'any.sock');
  const server = createSocketServer({ allowHalfOpen: true }, async (socket) => {
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
  await assert.rejects(
    openSshService([{ id: 'a', paths: [`${file}-gone`], raw: false }]),
    hasCode('not_found'),
  );
  await assert.rejects(openSshService([{ id: 'a', paths: [file], raw: true }]), hasCode('invalid_argument'));
  await assert.rejects(
    openSshService([{ id: 'a', paths: [file], raw: false }]),
    hasCode('failed_precondition'),
  );
});

test('a file output is written whole, with the response before it; one that is there already is said to be so', async () => {
  const dir = newDir();
  let told: Readonly<Record<string, string>> = {};
  await using rig = await openSessionRig([
    fileSendService(
      new Map<number, ClientSink>([
        [
          1,
          {
            kind: 'file',
            async open(response) {
              told = response;
              return createWriteStream(path.join(dir, 'out.tar'));
            },
          },
        ],
        [2, { kind: 'file', open: async () => undefined }],
      ]),
      { pool },
    ),
  ]);
  const output = createClientOutput(rig.sessions, { pool });
  const sessionId = rig.session.id;
  const signal = new AbortController().signal;
  const data = Buffer.alloc(5_000_000, 'abc');
  {
    await using file = await output.openFile(
      { sessionId, index: 1 },
      { 'containerimage.digest': 'sha256:1' },
      signal,
    );
    await file.write(data);
    await file.write(Buffer.from('end'));
    await file.close();
  }
  assert.deepEqual(told, { 'containerimage.digest': 'sha256:1' });
  assert.deepEqual(readFileSync(path.join(dir, 'out.tar')), Buffer.concat([data, Buffer.from('end')]));
  await assert.rejects(async () => {
    await using file = await output.openFile({ sessionId, index: 2 }, {}, signal);
    await file.write(data);
    await file.close();
  }, hasCode('already_exists'));
  await assert.rejects(async () => {
    await using file = await output.openFile({ sessionId, index: 3 }, {}, signal);
    await file.close();
  }, hasCode('not_found'));
});

test('an abandoned file output does not look complete to the client', async () => {
  const dir = newDir();
  const opened = Promise.withResolvers<ReturnType<typeof createWriteStream>>();
  await using rig = await openSessionRig([
    fileSendService(
      new Map([
        [
          0,
          {
            kind: 'file',
            async open() {
              const stream = createWriteStream(path.join(dir, 'out'));
              opened.resolve(stream);
              return stream;
            },
          },
        ],
      ]),
      { pool },
    ),
  ]);
  const output = createClientOutput(rig.sessions, { pool });
  {
    await using file = await output.openFile(
      { sessionId: rig.session.id, index: 0 },
      {},
      new AbortController().signal,
    );
    await file.write(Buffer.from('half'));
    await opened.promise;
  }
  const stream = await opened.promise;
  if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', () => resolve()));
  assert.equal(stream.writableFinished, false);
});

test('trees are copied into a directory, side by side, with the given time; mirror removes the rest', async () => {
  const [one, two, into, mirrored] = [newDir(), newDir(), newDir(), newDir()];
  mkdirSync(path.join(one, 'sub'));
  writeFileSync(path.join(one, 'sub/file'), 'one');
  writeFileSync(path.join(two, 'file'), 'two');
  for (const dir of [into, mirrored]) {
    mkdirSync(path.join(dir, 'old/deep'), { recursive: true });
    writeFileSync(path.join(dir, 'old/deep/file'), 'old');
  }
  await using rig = await openSessionRig([
    fileSendService(
      new Map([
        [0, { kind: 'directory', path: into, mirror: false }],
        [1, { kind: 'directory', path: mirrored, mirror: true }],
      ]),
      { pool },
    ),
  ]);
  const output = createClientOutput(rig.sessions, { pool });
  const options = { signal: new AbortController().signal, onProgress: () => {} };
  const trees = [
    { prefix: 'linux_amd64', path: two, epoch: 1000 },
    { prefix: 'empty', path: undefined, epoch: 1000 },
    { prefix: 'linux_arm64', path: one, epoch: 1000 },
  ];
  const target = { sessionId: rig.session.id, index: 0 };
  await output.sendTrees(target, trees, { ...options, deleteOthers: false });
  assert.deepEqual(readdirSync(into).sort(), ['empty', 'linux_amd64', 'linux_arm64', 'old']);
  assert.equal(readFileSync(path.join(into, 'linux_arm64/sub/file'), 'utf8'), 'one');
  assert.equal(statSync(path.join(into, 'linux_arm64/sub')).mtimeMs, 1_000_000);
  await output.sendTrees({ ...target, index: 1 }, trees, { ...options, deleteOthers: true });
  assert.deepEqual(readdirSync(mirrored).sort(), ['empty', 'linux_amd64', 'linux_arm64']);
  await assert.rejects(
    output.sendTrees({ ...target, index: 1 }, trees, { ...options, deleteOthers: false }),
    hasCode('unimplemented'),
  );
});

test('an OCI layout is read and written through the content service', async () => {
  const layout = newDir();
  await using rig = await openSessionRig([contentService(new Map([['oci:base', layout]]))]);
  const content = createContentClient(rig.session, 'oci:base');
  const data = Buffer.alloc(2_500_000, 'blob');
  const digest = digestOf(data);
  assert.equal(await content.size(digest), undefined);
  const write = (bytes: Buffer) =>
    content.write(
      { digest, size: data.length },
      (async function* () {
        yield bytes;
      })(),
    );
  await assert.rejects(write(Buffer.from('other')), hasCode('failed_precondition'));
  assert.deepEqual(readdirSync(path.join(layout, 'blobs/sha256')), []);
  await write(data);
  await write(data);
  assert.deepEqual(readdirSync(path.join(layout, 'blobs/sha256')), [digest.slice(7)]);
  assert.equal(await content.size(digest), data.length);
  const parts: Uint8Array[] = [];
  for await (const part of content.read(digest, 1_000_000)) parts.push(part);
  assert.deepEqual(Buffer.concat(parts), data.subarray(1_000_000));
  await assert.rejects(
    createContentClient(rig.session, 'oci:other')
      .size(digest)
      .then((size) => assert.equal(size, 1)),
  );
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
  for (const file of [key, pipeWith(`cat ${key}`)]) {
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
