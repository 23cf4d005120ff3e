import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { Control, type SolveRequest as WireRequest } from '../api/gen/control_pb.js';
import { GrpcServer } from '../api/grpc-server.ts';
import { deferred } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import { SessionRegistry } from '../session/session-registry.ts';
import { sessionHandler } from '../session/tunnel.ts';
import { connectDaemon } from './connect-daemon.ts';
import type { Connection } from './connection.ts';
import { solve } from './solve.ts';
import { emptySolve, type SolveRequest } from './solve-request.ts';
import type { SolveStatus } from './solve-status.ts';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kiln-client-'));
});
after(() => rm(directory, { recursive: true }));

const request: SolveRequest = {
  ...emptySolve,
  source: { kind: 'definition', definition: { ops: [new Uint8Array()], metadata: new Map() } },
};

interface Rig extends AsyncDisposable {
  readonly connection: Connection;
  readonly sessions: SessionRegistry;
}

let sockets = 0;

/** A daemon that listens on a real socket, and whose builds are played by `control`. */
async function rig(control: Partial<ServiceImpl<typeof Control>>): Promise<Rig> {
  const sessions = new SessionRegistry();
  const server = new GrpcServer({
    handlers: new Map([['/moby.buildkit.v1.Control/Session', sessionHandler(sessions)]]),
    routes: (router) => router.service(Control, control),
  });
  const path = join(directory, `${sockets++}.sock`);
  await server.listen({ kind: 'unix', path });
  const connection = await connectDaemon(`unix://${path}`);
  return {
    connection,
    sessions,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function all(progress: AsyncIterable<SolveStatus>): Promise<SolveStatus[]> {
  const events: SolveStatus[] = [];
  for await (const event of progress) events.push(event);
  return events;
}

test('a solve gives the events of the build, then what the exporters said', async () => {
  const seen = deferred<WireRequest>();
  const watched = deferred<void>();
  const done = deferred<void>();
  await using daemon = await rig({
    async solve(wire) {
      await watched.promise;
      const session = await daemon.sessions.get(wire.session);
      assert.match(session.sharedKey, /^[0-9a-f]{32}$/);
      seen.resolve(wire);
      done.resolve();
      return { exporterResponse: { 'containerimage.digest': 'sha256:1' } };
    },
    async *status({ ref }) {
      watched.resolve();
      assert.equal(ref, 'the-ref');
      const started = timestampFromDate(new Date(1000));
      yield {
        vertexes: [{ digest: 'd', name: 'step', started }],
        warnings: [{ vertex: 'd', short: Buffer.from('hm') }],
      };
      await done.promise;
      yield { logs: [{ vertex: 'd', stream: 2n, data: Buffer.from('out'), timestamp: started }] };
    },
  });
  const build = solve(daemon.connection, {
    ...request,
    ref: 'the-ref',
    outputs: [{ kind: 'engine', exporter: 'image', attributes: { name: 'a' } }],
    cacheImports: [{ type: 'registry', attributes: { ref: 'r' } }],
    entitlements: ['network.host'],
  });
  const events = await all(build.progress);
  assert.deepEqual((await build.result).response, { 'containerimage.digest': 'sha256:1' });
  assert.deepEqual(events[0]?.vertexes[0]?.started, new Date(1000));
  assert.equal(events[0]?.warnings[0]?.short, 'hm');
  assert.equal(events[1]?.logs[0]?.stream, 2);
  const wire = await seen.promise;
  assert.deepEqual([wire.exporters[0]?.type, wire.exporters[0]?.attrs], ['image', { name: 'a' }]);
  assert.deepEqual([wire.oldExporter, wire.cache?.imports[0]?.attrs], ['image', { ref: 'r' }]);
  assert.deepEqual(wire.entitlements, ['network.host']);
});

test('frontends are told of the remote caches in their options', async () => {
  const seen = deferred<WireRequest>();
  await using daemon = await rig({
    async solve(wire) {
      seen.resolve(wire);
      return {};
    },
  });
  const build = solve(daemon.connection, {
    ...request,
    source: { kind: 'frontend', frontend: 'dockerfile.v0', options: { target: 't' } },
    cacheImports: [{ type: 'registry', attributes: { ref: 'r' } }],
  });
  await build.result;
  const { frontendAttrs } = await seen.promise;
  assert.equal(frontendAttrs.target, 't');
  assert.deepEqual(JSON.parse(frontendAttrs['cache-imports']!), [{ Type: 'registry', Attrs: { ref: 'r' } }]);
});

test('a build that fails rejects with code, details and hint, after its last events', async () => {
  const failure = new KilnError('not_found', 'no such stage', {
    hint: 'did you mean "b"?',
    details: [{ kind: 'vertex', digest: 'd' }],
  });
  await using daemon = await rig({
    async solve() {
      throw failure;
    },
    async *status() {
      yield { vertexes: [{ digest: 'd', name: 'step', error: 'no such stage' }] };
    },
  });
  const build = solve(daemon.connection, request);
  assert.equal((await all(build.progress))[0]?.vertexes[0]?.error, 'no such stage');
  await assert.rejects(build.result, (error: KilnError) => {
    assert.deepEqual([error.code, error.message, error.hint], ['not_found', 'no such stage', failure.hint]);
    assert.deepEqual(error.details, failure.details);
    return true;
  });
});

test('a build that fails before it has a status still ends its progress', async () => {
  await using daemon = await rig({
    async solve() {
      throw new KilnError('invalid_argument', 'unknown frontend');
    },
    // biome-ignore lint/correctness/useYield: it fails before it has anything to tell
    async *status() {
      throw new KilnError('not_found', 'no such build');
    },
  });
  const build = solve(daemon.connection, request);
  assert.deepEqual(await all(build.progress), []);
  await assert.rejects(build.result, { code: 'invalid_argument' });
});

test('aborting cancels the build at the daemon, and its progress tells how it winds down', async () => {
  const started = deferred<void>();
  const canceled = deferred<void>();
  await using daemon = await rig({
    async solve(_, context) {
      context.signal.addEventListener('abort', () => canceled.resolve());
      started.resolve();
      await canceled.promise;
      throw new KilnError('canceled', 'canceled');
    },
    async *status() {
      await canceled.promise;
      yield { vertexes: [{ digest: 'd', name: 'step', error: 'context canceled' }] };
    },
  });
  const controller = new AbortController();
  const build = solve(daemon.connection, request, controller.signal);
  const events = all(build.progress);
  await started.promise;
  controller.abort(new KilnError('canceled', 'the user said so'));
  await assert.rejects(build.result, { code: 'canceled', message: 'the user said so' });
  assert.equal((await events).length, 1);
});

test('a daemon that goes away fails the build and ends its progress', async () => {
  const started = deferred<void>();
  const path = join(directory, 'dying.sock');
  const server = new GrpcServer({
    handlers: new Map([['/moby.buildkit.v1.Control/Session', sessionHandler(new SessionRegistry())]]),
    routes: (router) =>
      router.service(Control, {
        async solve(_, context) {
          started.resolve();
          await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
          return {};
        },
      }),
  });
  await server.listen({ kind: 'unix', path });
  await using connection = await connectDaemon(`unix://${path}`);
  const build = solve(connection, request);
  await started.promise;
  await server[Symbol.asyncDispose]();
  await assert.rejects(build.result, { code: 'unavailable' });
  assert.deepEqual(await all(build.progress), []);
});

test('nobody at the address is a clear error, unless one waits for the daemon', async () => {
  const path = join(directory, 'late.sock');
  await assert.rejects(connectDaemon(`unix://${path}`), (error: KilnError) => {
    assert.equal(error.code, 'unavailable');
    assert.ok(error.message.includes(path));
    return true;
  });
  const connecting = connectDaemon(`unix://${path}`, { wait: true });
  await using server = new GrpcServer({
    routes: (router) => router.service(Control, { info: async () => ({}) }),
  });
  await server.listen({ kind: 'unix', path });
  await using _connection = await connecting;
  const controller = new AbortController();
  const hopeless = connectDaemon('unix:///nowhere', { wait: true, signal: controller.signal });
  controller.abort();
  await assert.rejects(hopeless, { code: 'canceled' });
});
