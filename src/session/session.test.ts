import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { GrpcConnection } from '../api/grpc-connection.ts';
import { GrpcServer } from '../api/grpc-server.ts';
import type { CallHandler } from '../api/message-stream.ts';
import { KilnError } from '../base/errors.ts';
import { inMemorySession } from './in-memory-session.ts';
import { createServiceHost } from './service-host.ts';
import type { Session } from './session.ts';
import { SessionRegistry } from './session-registry.ts';
import { serveSession, sessionHandler } from './tunnel.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'kiln-session-'));
after(() => rmSync(dir, { recursive: true }));
let sockets = 0;

interface Rig extends AsyncDisposable {
  readonly session: Session;
  /** The client goes away. */
  leave(): Promise<void>;
}

const announcement = { id: 's1', name: 'a test', sharedKey: 'key' };

async function tunnelRig(handlers: Record<string, CallHandler>): Promise<Rig> {
  const registry = new SessionRegistry();
  const server = new GrpcServer({
    handlers: new Map([['/moby.buildkit.v1.Control/Session', sessionHandler(registry)]]),
  });
  const address = await server.listen({ kind: 'unix', path: path.join(dir, `${sockets++}.sock`) });
  const connection = await GrpcConnection.connect(address);
  const served = await serveSession(
    (...call) => connection.open(...call),
    announcement,
    createServiceHost([handlers]),
  );
  return {
    session: await registry.get('s1'),
    leave: async () => await served[Symbol.asyncDispose](),
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]();
      await connection[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function memoryRig(handlers: Record<string, CallHandler>): Promise<Rig> {
  const session = inMemorySession(createServiceHost([handlers]), announcement);
  const leave = async () => await session[Symbol.asyncDispose]();
  return { session, leave, [Symbol.asyncDispose]: leave };
}

async function collect(messages: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for await (const message of messages) all.push(Buffer.from(message));
  return all;
}

const hasCode = (code: string) => (error: unknown) => error instanceof KilnError && error.code === code;

for (const [kind, start] of [
  ['through the tunnel', tunnelRig],
  ['in memory', memoryRig],
] as const) {
  describe(`a session ${kind}`, () => {
    test('says who it is and what it serves', async () => {
      await using rig = await start({ '/x.Y/DiffCopy': async () => {} });
      const { id, name, sharedKey } = rig.session;
      assert.deepEqual({ id, name, sharedKey }, announcement);
      assert.equal(rig.session.supports('/x.Y/diffcopy'), true);
      assert.equal(rig.session.supports('/x.Y/Other'), false);
      await assert.rejects(async () => {
        await using call = await rig.session.open('/x.Y/Other');
        await collect(call);
      }, hasCode('unimplemented'));
    });

    test('carries calls both ways, several at once, in order and whole', async () => {
      await using rig = await start({
        '/x.Y/Echo': async ({ stream, metadata }) => {
          await stream.send(Buffer.from(JSON.stringify(metadata.patterns)));
          for await (const message of stream) await stream.send(message);
        },
      });
      await Promise.all(
        [1, 2, 3].map(async (number) => {
          await using call = await rig.session.open('/x.Y/Echo', { patterns: [`a, ${number}`, 'b'] });
          const received = collect(call);
          const sent = Array.from({ length: 50 }, (_, index) => Buffer.alloc(index * 4000, number));
          for (const message of sent) await call.send(message);
          await call.closeSend();
          const [patterns, ...echoed] = await received;
          assert.deepEqual(JSON.parse(String(patterns)), [`a, ${number}`, 'b']);
          assert.deepEqual(echoed, sent);
        }),
      );
    });

    test('hands on what a service throws, after what it sent', async () => {
      await using rig = await start({
        '/x.Y/Fail': async ({ stream }) => {
          await stream.send(Buffer.from('first'));
          throw new KilnError('permission_denied', 'not yours');
        },
      });
      await using call = await rig.session.open('/x.Y/Fail');
      const seen: string[] = [];
      await assert.rejects(async () => {
        for await (const message of call) seen.push(Buffer.from(message).toString());
      }, /not yours/);
      assert.deepEqual(seen, ['first']);
    });

    test('tells the service when a call is aborted', async () => {
      const told = Promise.withResolvers<void>();
      await using rig = await start({
        '/x.Y/Wait': async ({ signal, stream }) => {
          await stream.send(Buffer.from('here'));
          if (!signal.aborted) await once(signal, 'abort');
          told.resolve();
        },
      });
      const abort = new AbortController();
      await using call = await rig.session.open('/x.Y/Wait', {}, abort.signal);
      const messages = call[Symbol.asyncIterator]();
      await messages.next();
      abort.abort();
      await assert.rejects(messages.next(), hasCode('canceled'));
      await told.promise;
    });

    test('ends its calls when the client goes away', async () => {
      await using rig = await start({
        '/x.Y/Wait': async ({ signal, stream }) => {
          await stream.send(Buffer.from('here'));
          if (!signal.aborted) await once(signal, 'abort');
        },
      });
      await using call = await rig.session.open('/x.Y/Wait');
      const messages = call[Symbol.asyncIterator]();
      await messages.next();
      const ended = assert.rejects(messages.next(), hasCode('unavailable'));
      await rig.leave();
      await ended;
      if (!rig.session.closed.aborted) await once(rig.session.closed, 'abort');
      await assert.rejects(rig.session.open('/x.Y/Wait'), hasCode('unavailable'));
    });

    test('makes a sender wait for a slow reader', async () => {
      let sent = 0;
      let taken = 0;
      let ahead = 0;
      await using rig = await start({
        '/x.Y/Slow': async ({ stream }) => {
          for await (const _ of stream) {
            ahead = Math.max(ahead, sent - taken++);
            await setImmediate();
          }
        },
      });
      await using call = await rig.session.open('/x.Y/Slow');
      const sending = (async () => {
        for (; sent < 64; sent++) await call.send(Buffer.alloc(1024 * 1024));
        await call.closeSend();
      })();
      await sending;
      assert.deepEqual(await collect(call), []);
      assert.ok(ahead < 40, `${ahead} MB were accepted before the reader took them`);
    });
  });
}

test('the registry waits for a session that has not arrived, and says which never did', async () => {
  const registry = new SessionRegistry({ waitLimit: 200 });
  await using session = inMemorySession(createServiceHost([]), announcement);
  const waiting = Promise.all([registry.get('s1'), registry.get('prefix:s1')]);
  using _added = registry.add(session);
  assert.deepEqual(await waiting, [session, session]);
  await assert.rejects(registry.get('s2'), /no active session s2/);
  await assert.rejects(registry.get('s2', AbortSignal.abort()), hasCode('canceled'));
  const abort = new AbortController();
  const aborted = assert.rejects(registry.get('s3', abort.signal), hasCode('canceled'));
  abort.abort();
  await aborted;
});

test('the registry refuses a second session with the same id, until the first is gone', async () => {
  const registry = new SessionRegistry({ waitLimit: 50 });
  await using session = inMemorySession(createServiceHost([]), announcement);
  const added = registry.add(session);
  assert.throws(() => registry.add(session), hasCode('already_exists'));
  added[Symbol.dispose]();
  using _again = registry.add(session);
});

test('any asks the sessions in turn and reports the first failure', async () => {
  const registry = new SessionRegistry({ waitLimit: 50 });
  await using one = inMemorySession(createServiceHost([]), { ...announcement, id: 'one' });
  await using two = inMemorySession(createServiceHost([]), { ...announcement, id: 'two' });
  using _one = registry.add(one);
  using _two = registry.add(two);
  const work = async ({ id }: Session) => {
    if (id === 'one') throw new KilnError('permission_denied', 'one does not want to');
    return id;
  };
  assert.equal(await registry.any(['one', 'two'], work), 'two');
  await assert.rejects(registry.any(['one', 'gone'], work), hasCode('permission_denied'));
  await assert.rejects(registry.any([], work), hasCode('unavailable'));
});

test('two services cannot serve the same method', () => {
  const service = { '/x.Y/Z': async () => {} };
  assert.throws(() => createServiceHost([service, service]), hasCode('already_exists'));
});
