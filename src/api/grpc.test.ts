import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectNet, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { fromBinary } from '@bufbuild/protobuf';
import { Code, type ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { type ErrorCode, type ErrorDetail, KilnError } from '../base/errors.ts';
import type { Address } from './address.ts';
import { toStatus } from './error.ts';
import { Control } from './gen/control_pb.js';
import { LLBBridge } from './gen/gateway_pb.js';
import { Health } from './gen/health_pb.js';
import { StatusSchema } from './gen/rpc_status_pb.js';
import { Secrets } from './gen/session_secrets_pb.js';
import { GrpcConnection } from './grpc-connection.ts';
import { GrpcServer } from './grpc-server.ts';
import { sessionOptions } from './http2-settings.ts';
import type { CallHandler, IncomingCall } from './message-stream.ts';
import { callUnary, unaryHandler } from './unary-call.ts';
import { withKilnErrors } from './with-kiln-errors.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'kiln-grpc-'));
after(() => rmSync(dir, { recursive: true }));
let sockets = 0;
const newAddress = (): Address => ({ kind: 'unix', path: path.join(dir, `${sockets++}.sock`) });

async function startServer(
  handlers: Record<string, CallHandler>,
  routes?: ConstructorParameters<typeof GrpcServer>[0]['routes'],
) {
  const server = new GrpcServer({ handlers: new Map(Object.entries(handlers)), routes });
  const address = await server.listen(newAddress());
  const connection = await GrpcConnection.connect(address);
  return {
    address: address as Extract<Address, { kind: 'unix' }>,
    connection,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const details: readonly ErrorDetail[] = [
  { kind: 'vertex', digest: 'sha256:abc' },
  {
    kind: 'source',
    filename: 'Dockerfile',
    language: 'Dockerfile',
    data: Buffer.from('FROM x\nRUN é\n'),
    ranges: [{ start: { line: 2, character: 0 }, end: { line: 2, character: 5 } }],
    definition: { ops: [Buffer.from([1, 2, 255]), Buffer.from([3])] },
  },
  { kind: 'exit', code: 137, signal: 'SIGKILL', oom: true },
  { kind: 'subrequest', name: 'frontend.outline' },
  { kind: 'denied', messages: ['not signed'] },
  { kind: 'capability', id: 'moby.x' },
  { kind: 'converted', identifier: 'local://x' },
  { kind: 'other', typeUrl: 'example.org/unknown', value: Buffer.from([1, 2, 255]) },
];
const failure = new KilnError('failed_precondition', 'it broke: 100 % ü', { hint: 'mend it – now', details });

function assertFailure(error: unknown): true {
  assert.ok(error instanceof KilnError);
  assert.equal(error.code, failure.code);
  assert.equal(error.message, failure.message);
  assert.equal(error.hint, failure.hint);
  const plain = error.details.map((detail) => ({
    ...detail,
    ...('data' in detail ? { data: Buffer.from(detail.data) } : {}),
    ...('value' in detail ? { value: Buffer.from(detail.value) } : {}),
  }));
  assert.deepEqual(plain, details);
  return true;
}

async function collect(messages: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for await (const message of messages) all.push(Buffer.from(message));
  return all;
}

test('a raw call carries messages both ways, of any size, and repeated metadata apart', async () => {
  let seen: IncomingCall['metadata'] = {};
  await using rig = await startServer({
    '/x.Y/Echo': async ({ stream, metadata }) => {
      seen = metadata;
      for await (const message of stream) await stream.send(message);
    },
  });
  await using call = await rig.connection.open('/x.Y/Echo', { pattern: ['a, b', 'c'], name: ['n'] });
  const sent = [0, 1, 5, 16_384, 3_000_000, 0].map((size, index) => Buffer.alloc(size, index + 1));
  const received = collect(call);
  for (const message of sent) await call.send(message);
  await call.closeSend();
  assert.deepEqual(await received, sent);
  assert.deepEqual(seen.pattern, ['a, b', 'c']);
  assert.deepEqual(seen.name, ['n']);
});

test('an error keeps its code, message, hint and details on a raw call', async () => {
  await using rig = await startServer({
    '/x.Y/Fail': async () => {
      throw failure;
    },
  });
  await using call = await rig.connection.open('/x.Y/Fail');
  await assert.rejects(collect(call), assertFailure);
});

test('an error keeps its code, message, hint and details through Connect, on unary and streaming calls', async () => {
  await using rig = await startServer({}, (router) => {
    router.service(Health, {
      check() {
        throw failure;
      },
      async *watch() {
        yield { status: 1 };
        throw failure;
      },
    });
  });
  const sessions = new Http2SessionManager(
    'http://localhost',
    {},
    {
      createConnection: () => connectNet({ path: rig.address.path }),
    },
  );
  const client = createClient(
    Health,
    withKilnErrors(createGrpcTransport({ baseUrl: 'http://localhost', sessionManager: sessions })),
  );
  await assert.rejects(client.check({}), assertFailure);
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (const { status } of client.watch({})) seen.push(status);
  }, assertFailure);
  assert.deepEqual(seen, [1]);
  sessions.abort();
});

test('a message larger than BuildKit takes is refused, and the next one answered', async () => {
  await using rig = await startServer(
    {
      '/x.Y/Echo': async ({ stream }) => {
        for await (const message of stream) await stream.send(message);
      },
    },
    (router) => router.service(Health, { check: () => ({ status: 1 }) }),
  );
  const sessions = new Http2SessionManager(
    'http://localhost',
    {},
    { ...sessionOptions, createConnection: () => connectNet({ path: rig.address.path }) },
  );
  const transport = createGrpcTransport({ baseUrl: 'http://localhost', sessionManager: sessions });
  const client = createClient(Health, withKilnErrors(transport));
  const size = 17 * 1024 * 1024;
  await assert.rejects(client.check({ service: 'x'.repeat(size) }), { code: 'resource_exhausted' });
  await client.check({ service: 'x'.repeat(15 * 1024 * 1024) });
  await using call = await rig.connection.open('/x.Y/Echo');
  const received = collect(call);
  call.send(Buffer.alloc(size)).catch(() => {});
  await assert.rejects(received);
  sessions.abort();
});

test('who sends a message on a raw call that is too large is told so', async () => {
  await using rig = await startServer({
    '/x.Y/Count': async ({ stream }) => {
      await stream.send(Buffer.from(`${(await collect(stream)).length}`));
    },
  });
  const size = 17 * 1024 * 1024;
  for (const other of [new Uint8Array(1024), new Uint8Array(2 * 1024 * 1024)]) {
    await using call = await rig.connection.open('/x.Y/Count', {});
    await call.send(other);
    // The call may end while more of it is on its way.
    const sending = (async () => {
      await call.send(new Uint8Array(size));
      await call.send(other);
      await call.closeSend();
    })();
    sending.catch(() => {});
    await assert.rejects(collect(call), {
      code: 'resource_exhausted',
      message: `a gRPC message of ${size} bytes is over the limit of ${16 * 1024 * 1024}`,
    });
  }
  await using call = await rig.connection.open('/x.Y/Count', {});
  await call.closeSend();
  assert.deepEqual((await collect(call)).map(String), ['0']);
});

test('a build fails with the codes that BuildKit has, and Kiln learns its own', async () => {
  const fails = (code: ErrorCode) => new KilnError(code, 'it broke', { details });
  let thrown = fails('not_found');
  await using rig = await startServer({}, (router) => {
    const fail = () => Promise.reject(thrown);
    router.service(Control, { solve: fail });
    router.service(LLBBridge, { solve: fail, newContainer: fail });
  });
  const sessionManager = new Http2SessionManager(
    'http://localhost',
    {},
    { createConnection: () => connectNet({ path: rig.address.path }) },
  );
  const transport = createGrpcTransport({ baseUrl: 'http://localhost', sessionManager });
  const build = [createClient(Control, transport), createClient(LLBBridge, transport)];
  const kiln = createClient(Control, withKilnErrors(transport));
  const codes = {
    not_found: Code.Unknown,
    invalid_argument: Code.Unknown,
    unavailable: Code.Unknown,
    permission_denied: Code.Unknown,
    canceled: Code.Canceled,
    unimplemented: Code.Unimplemented,
    resource_exhausted: Code.ResourceExhausted,
  } as const;
  for (const [code, shown] of Object.entries(codes)) {
    thrown = fails(code as ErrorCode);
    for (const client of build) {
      await assert.rejects(client.solve({}), (error: ConnectError) => {
        assert.deepEqual([error.code, error.rawMessage], [shown, 'it broke']);
        const status = Buffer.from(error.metadata.get('grpc-status-details-bin')!, 'base64');
        assert.equal(fromBinary(StatusSchema, status).code, shown);
        return true;
      });
    }
    await assert.rejects(kiln.solve({}), { code, message: 'it broke', details });
    assert.equal(toStatus(thrown).code, shown);
  }
  thrown = fails('already_exists');
  await assert.rejects(createClient(LLBBridge, transport).newContainer({}), { code: Code.AlreadyExists });
  sessionManager.abort();
});

test('a failure in a very long source file reaches the client with the lines around it', async () => {
  const data = Buffer.from(Array.from({ length: 20_000 }, (_, line) => `RUN line ${line + 1}`).join('\n'));
  const definition = { ops: [Buffer.alloc(100_000)] };
  const ranges = [{ start: { line: 9000, character: 0 }, end: { line: 9000, character: 0 } }];
  await using rig = await startServer({
    '/x.Y/Fail': async () => {
      throw new KilnError('unknown', 'failed', {
        details: [
          { kind: 'source', filename: 'Dockerfile', language: 'Dockerfile', data, ranges, definition },
        ],
      });
    },
  });
  await using call = await rig.connection.open('/x.Y/Fail');
  await assert.rejects(collect(call), (error: KilnError) => {
    const detail = error.details[0];
    assert.ok(detail?.kind === 'source');
    assert.equal(detail.definition, undefined);
    const lines = Buffer.from(detail.data).toString().split('\n');
    assert.deepEqual(
      lines.slice(8996, 9003),
      [8997, 8998, 8999, 9000, 9001, 9002, 9003].map((n) => `RUN line ${n}`),
    );
    return true;
  });
});

test('an unknown method is answered as unimplemented, with a gRPC status', async () => {
  await using rig = await startServer({}, (router) => router.service(Health, {}));
  for (const method of [
    '/no.Such/Method',
    '/grpc.health.v1.Health/Nothing',
    '/grpc.health.v1.Health/Check',
  ]) {
    await using call = await rig.connection.open(method);
    await call.closeSend();
    await assert.rejects(collect(call), (error: KilnError) => error.code === 'unimplemented', method);
  }
});

test('aborting a call cancels it on both sides', async () => {
  const served = Promise.withResolvers<IncomingCall>();
  await using rig = await startServer({
    '/x.Y/Wait': async (call) => {
      served.resolve(call);
      await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
    },
  });
  const abort = new AbortController();
  await using call = await rig.connection.open('/x.Y/Wait', {}, abort.signal);
  const ended = collect(call);
  const { signal, stream } = await served.promise;
  const serverEnded = collect(stream);
  abort.abort();
  await assert.rejects(ended, (error: KilnError) => error.code === 'canceled');
  await assert.rejects(serverEnded, (error: KilnError) => error.code === 'canceled');
  assert.equal(signal.aborted, true);
});

test('a sender waits for a slow reader', async () => {
  let sent = 0;
  let taken = 0;
  let ahead = 0;
  await using rig = await startServer({
    '/x.Y/Slow': async ({ stream }) => {
      for await (const message of stream) {
        ahead = Math.max(ahead, sent - taken++);
        await setImmediate();
        await stream.send(Buffer.from(String(message.length)));
      }
    },
  });
  await using call = await rig.connection.open('/x.Y/Slow');
  const received = collect(call);
  const sending = (async () => {
    for (; sent < 64; sent++) await call.send(Buffer.alloc(1024 * 1024));
    await call.closeSend();
  })();
  await sending;
  // What fits in the windows and buffers is accepted; then nothing moves until the reader does.
  assert.ok(ahead < 32, `${ahead} MB were accepted before the reader took them`);
  assert.equal((await received).length, 64);
});

test('a server may end a call while its caller is still sending', async () => {
  await using rig = await startServer({
    '/x.Y/Early': async ({ stream }) => {
      for await (const message of stream) {
        await stream.send(message);
        return;
      }
    },
  });
  await using call = await rig.connection.open('/x.Y/Early');
  await call.send(Buffer.from('one'));
  assert.deepEqual(await collect(call), [Buffer.from('one')]);
  await assert.rejects(
    async () => {
      for (;;) {
        await call.send(Buffer.alloc(100_000));
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    (error: KilnError) => error.code === 'unavailable',
  );
});

test('a unary call passes its request and its answer', async () => {
  await using rig = await startServer({
    '/moby.buildkit.secrets.v1.Secrets/GetSecret': unaryHandler(Secrets.method.getSecret, async ({ id }) => ({
      data: Buffer.from(`secret of ${id}`),
    })),
  });
  const answer = await callUnary((...call) => rig.connection.open(...call), Secrets.method.getSecret, {
    id: 'me',
  });
  assert.equal(Buffer.from(answer.data).toString(), 'secret of me');
});

test('calls on a lost connection fail, running ones and new ones', async () => {
  const server = new GrpcServer({ handlers: new Map([['/x.Y/Wait', () => new Promise<void>(() => {})]]) });
  const address = await server.listen(newAddress());
  await using connection = await GrpcConnection.connect(address);
  await using call = await connection.open('/x.Y/Wait');
  const ended = assert.rejects(collect(call), (error: KilnError) => error.code === 'unavailable');
  await call.send(Buffer.from('x'));
  await server[Symbol.asyncDispose]();
  await ended;
  await assert.rejects(connection.open('/x.Y/Wait'), (error: KilnError) => error.code === 'unavailable');
  if (!connection.closed.aborted) await once(connection.closed, 'abort');
});

test('a dead socket file is replaced, a live one is not, and nobody listening is said', async () => {
  const address = newAddress();
  await assert.rejects(GrpcConnection.connect(address), (error: KilnError) => error.code === 'unavailable');
  await using first = new GrpcServer({});
  await first.listen(address);
  await using second = new GrpcServer({});
  await assert.rejects(second.listen(address), (error: KilnError) => error.code === 'already_exists');
  await using tcp = new GrpcServer({});
  const bound = await tcp.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  assert.ok(bound.kind === 'tcp' && bound.port > 0);
  await using other = new GrpcServer({});
  await assert.rejects(other.listen(bound), (error: KilnError) => error.code === 'already_exists');
});

test('a peer that is no HTTP/2 server is an error, not a hang', async () => {
  const address = newAddress() as Extract<Address, { kind: 'unix' }>;
  const rude = createServer((socket) => socket.end('hello\n'));
  await new Promise<void>((resolve) => rude.listen({ path: address.path }, resolve));
  await using connection = await GrpcConnection.connect(address);
  await using call = await connection.open('/x.Y/Z');
  await assert.rejects(collect(call), (error: KilnError) => error.code === 'unavailable');
  rude.close();
});

test('a socket file is open to nobody else from its first moment, whatever the umask', async () => {
  const paths = Array.from({ length: 100 }, () => newAddress() as Extract<Address, { kind: 'unix' }>);
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const watching = `
    const { workerData: { shared, paths } } = require('node:worker_threads');
    const { statSync } = require('node:fs');
    Atomics.store(shared, 0, 1);
    Atomics.notify(shared, 0);
    for (const path of paths) {
      let stats;
      do stats = statSync(path, { throwIfNoEntry: false }); while (!stats && Atomics.load(shared, 0) === 1);
      if (stats) Atomics.or(shared, 1, stats.mode);
    }`;
  const watcher = new Worker(watching, {
    eval: true,
    workerData: { shared, paths: paths.map((address) => address.path) },
  });
  const ended = once(watcher, 'exit');
  await Atomics.waitAsync(shared, 0, 0).value;
  await using server = new GrpcServer({ handlers: new Map() });
  const before = process.umask(0);
  try {
    for (const address of paths) await server.listen(address, { mode: 0o600 });
  } finally {
    process.umask(before);
    Atomics.store(shared, 0, 2);
  }
  await ended;
  assert.equal((shared[1]! & 0o777).toString(8), '600');
});
