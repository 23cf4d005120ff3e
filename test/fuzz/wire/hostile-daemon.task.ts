import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DescService } from '@bufbuild/protobuf';
import { formatAddress } from '../../../src/api/address.ts';
import { encodeBytesMessage } from '../../../src/api/bytes-message.ts';
import { Content } from '../../../src/api/gen/content_pb.js';
import { Control } from '../../../src/api/gen/control_pb.js';
import { LLBBridge } from '../../../src/api/gen/gateway_pb.js';
import { Health } from '../../../src/api/gen/health_pb.js';
import { Auth } from '../../../src/api/gen/session_auth_pb.js';
import { FileSend, FileSync } from '../../../src/api/gen/session_filesync_pb.js';
import { Secrets } from '../../../src/api/gen/session_secrets_pb.js';
import { GrpcServer } from '../../../src/api/grpc-server.ts';
import type { CallHandler, IncomingCall } from '../../../src/api/message-stream.ts';
import { methodPath } from '../../../src/api/unary-call.ts';
import { KilnError } from '../../../src/base/errors.ts';
import { Random } from '../../../src/base/testing/random.ts';
import { type FuzzChunk, type FuzzFailure, runSeeds } from '../../../src/base/testing/run-seeds.ts';
import { createDisplay } from '../../../src/cli/progress/create-display.ts';
import { showProgress } from '../../../src/cli/show-progress.ts';
import { connectDaemon } from '../../../src/client/connect-daemon.ts';
import { solve } from '../../../src/client/solve.ts';
import { emptySolve } from '../../../src/client/solve-request.ts';
import { SessionRegistry } from '../../../src/session/session-registry.ts';
import { sessionHandler, sessionMethod } from '../../../src/session/tunnel.ts';
import { hostileTexts, mutateMessage } from './mutate-message.ts';
import { randomMessage } from './random-message.ts';
import { randomPackets } from './random-packet.ts';
import { vocabulary } from './vocabulary.ts';

/** What a daemon asks of its client. */
const asked: readonly DescService[] = [Auth, Secrets, Content, Health, FileSync, FileSend];
/** Milliseconds that a build takes at most here. */
const patience = 150;

/** A daemon that answers and asks with random and damaged messages: a build of a client has to end, and only that. */
export default async function hostileDaemons(chunk: FuzzChunk): Promise<FuzzFailure | undefined> {
  return await runSeeds(chunk, async (seed) => {
    const random = new Random(seed);
    const dir = mkdtempSync(path.join(tmpdir(), 'kiln-hostile-'));
    const server = new GrpcServer({ handlers: hostileHandlers(random) });
    try {
      const address = await server.listen({ kind: 'unix', path: path.join(dir, 'daemon.sock') });
      await build(random, formatAddress(address), dir);
    } finally {
      await server[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    }
  });
}

async function build(random: Random, address: string, dir: string): Promise<void> {
  await using connection = await connectDaemon(address);
  writeFileSync(path.join(dir, 'secret'), 'secret');
  const attributes = {};
  const { progress, result } = solve(
    connection,
    {
      ...emptySolve,
      source: { kind: 'frontend', frontend: 'dockerfile.v0', options: {} },
      locals: new Map([['context', dir]]),
      layouts: new Map([['store', dir]]),
      secrets: [{ id: 'id', kind: 'file', path: path.join(dir, 'secret') }],
      outputs: [
        { kind: 'directory', exporter: 'local', attributes, path: path.join(dir, 'out'), remove: true },
        {
          kind: 'file',
          exporter: 'tar',
          attributes,
          destination: { kind: 'path', path: path.join(dir, 'out.tar') },
        },
      ],
    },
    AbortSignal.timeout(patience),
  );
  using display = createDisplay(random.pick(['plain', 'rawjson', 'quiet']), { write() {} }, {});
  const shown = showProgress(progress, display).catch(mustBeKnown);
  await result.catch(mustBeKnown);
  await shown;
}

/** Anything else is a mistake of the client's, not of the daemon's. */
function mustBeKnown(error: unknown): void {
  if (!(error instanceof KilnError)) throw error;
}

function hostileHandlers(random: Random): ReadonlyMap<string, CallHandler> {
  const handlers = new Map<string, CallHandler>();
  for (const method of [Control, LLBBridge].flatMap((service: DescService) => service.methods)) {
    handlers.set(methodPath(method), async ({ stream }) => {
      for (let count = random.below(method.name === 'Status' ? 6 : 3); count > 0; count--) {
        await stream.send(randomMessage(random, method.output, vocabulary));
      }
      if (random.chance(0.3)) throw new KilnError('unknown', random.pick(hostileTexts));
    });
  }
  handlers.set(sessionMethod, random.chance(0.3) ? garbage(random) : questions(random));
  return handlers;
}

/** What should be a connection is none. */
function garbage(random: Random): CallHandler {
  return async ({ stream }) => {
    for (let count = 1 + random.below(5); count > 0; count--) {
      const bytes = Buffer.from(random.pick(hostileTexts));
      await stream.send(mutateMessage(random, encodeBytesMessage(bytes)));
    }
  };
}

function questions(random: Random): CallHandler {
  return async (call: IncomingCall) => {
    const sessions = new SessionRegistry();
    const serving = sessionHandler(sessions)(call).catch(() => {});
    const id = call.metadata['x-docker-expose-session-uuid']?.[0] ?? '';
    const session = await sessions.get(id);
    const signal = AbortSignal.any([call.signal, AbortSignal.timeout(patience)]);
    for (let count = 1 + random.below(4); count > 0; count--) {
      const method = random.pick(asked.flatMap((service) => service.methods));
      const metadata = {
        'dir-name': [random.pick(['context', 'other'])],
        [random.pick(['include-patterns', 'followpaths', '__proto__', 'x'])]: ['a*', '[', '../..'],
        'buildkit-attachable-exporter-id': [random.pick(['0', '1', '-1', 'x'])],
        'buildkit-attachable-store-id': [random.pick(['oci:store', 'x'])],
        'buildkit-exporter-multi-platform': ['1'],
      };
      try {
        await using stream = await session.open(methodPath(method), metadata, signal);
        const messages =
          method.name === 'DiffCopy'
            ? randomPackets(random)
            : [randomMessage(random, method.input, vocabulary)];
        for (const message of messages) await stream.send(message);
        if (random.chance(0.5)) await stream.closeSend();
        for await (const _ of stream);
      } catch {
        // A client may refuse anything.
      }
    }
    await serving;
  };
}
