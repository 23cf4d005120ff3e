import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { DescService } from '@bufbuild/protobuf';
import { encodeBytesMessage } from '../../../src/api/bytes-message.ts';
import { Content } from '../../../src/api/gen/content_pb.js';
import { Health } from '../../../src/api/gen/health_pb.js';
import { Auth } from '../../../src/api/gen/session_auth_pb.js';
import { Exporter } from '../../../src/api/gen/session_exporter_pb.js';
import { FileSend, FileSync } from '../../../src/api/gen/session_filesync_pb.js';
import { PolicyVerifier } from '../../../src/api/gen/session_policy_pb.js';
import { Secrets } from '../../../src/api/gen/session_secrets_pb.js';
import { SSH } from '../../../src/api/gen/session_ssh_pb.js';
import { Upload } from '../../../src/api/gen/session_upload_pb.js';
import { GrpcConnection } from '../../../src/api/grpc-connection.ts';
import type { CallHandler } from '../../../src/api/message-stream.ts';
import { methodPath } from '../../../src/api/unary-call.ts';
import { KilnError } from '../../../src/base/errors.ts';
import { Random } from '../../../src/base/testing/random.ts';
import { type FuzzChunk, type FuzzFailure, runSeeds } from '../../../src/base/testing/run-seeds.ts';
import { ThreadPool } from '../../../src/base/threads/thread-pool.ts';
import { createClientOutput } from '../../../src/file-sync/client-output.ts';
import { listDirectory } from '../../../src/file-sync/list-directory.ts';
import { syncDirectory } from '../../../src/file-sync/sync-directory.ts';
import { untilUnresponsive } from '../../../src/session/client-health.ts';
import { createClientCredentials } from '../../../src/session/requests/client-credentials.ts';
import { createClientExporters } from '../../../src/session/requests/client-exporters.ts';
import { createContentClient } from '../../../src/session/requests/content-client.ts';
import { pullUpload } from '../../../src/session/requests/pull-upload.ts';
import { createSourceVerifier } from '../../../src/session/requests/source-verifier.ts';
import { openSessionRig } from '../../../src/session/session-rig.ts';
import { sessionMethod } from '../../../src/session/tunnel.ts';
import { hostileTexts, mutateMessage } from './mutate-message.ts';
import { randomMessage } from './random-message.ts';
import { randomPackets } from './random-packet.ts';
import { vocabulary } from './vocabulary.ts';

const services: readonly DescService[] = [
  Auth,
  Secrets,
  SSH,
  Health,
  Content,
  Exporter,
  PolicyVerifier,
  Upload,
  FileSync,
  FileSend,
];
/** Milliseconds after which the engine's side stops waiting for an answer. */
const patience = 150;

/** A client whose services answer with random and damaged messages: every question of the engine's side has to end. */
export default async function hostileClients(chunk: FuzzChunk): Promise<FuzzFailure | undefined> {
  await using pool = new ThreadPool({ size: 2 });
  return await runSeeds(chunk, async (seed) => {
    const random = new Random(seed);
    await using rig = await openSessionRig([hostileService(random)]);
    const { sessions, session } = rig;
    const signal = AbortSignal.timeout(patience);
    const ids = [session.id];
    const credentials = createClientCredentials(sessions, { directory: path.join(rig.dir, 'sockets') });
    const content = createContentClient(session, 'store');
    const output = createClientOutput(sessions, { pool });
    const request = {
      name: 'context',
      includePatterns: [],
      excludePatterns: [],
      followPaths: [],
      differ: 'metadata',
    } as const;
    const makeDirectory = async () => {
      mkdirSync(path.join(rig.dir, 'synced'));
      return path.join(rig.dir, 'synced');
    };
    const digest = `sha256:${'0'.repeat(64)}`;
    const source = { identifier: 'docker-image://x', attrs: {} };
    const questions: readonly (() => Promise<unknown>)[] = [
      () => credentials.secret(ids, 'id', signal),
      () => credentials.login(ids, 'host', signal),
      () => credentials.token(ids, { clientId: '', host: 'h', realm: 'r', service: 's', scopes: [] }, signal),
      async () => {
        const agent = await credentials.sshAgent(
          ids,
          { id: '', uid: 0, gid: 0, mode: 0o600, optional: true },
          signal,
        );
        await agent?.[Symbol.asyncDispose]();
      },
      () => content.size(digest, signal),
      () => Array.fromAsync(content.read(digest, 0, signal)),
      () => content.write({ digest, size: 1 }, bytes(), signal),
      () => createSourceVerifier(sessions).check(session.id, { source, platform: undefined }, signal),
      () => createClientExporters(sessions).find(session.id, { metadata: {}, refs: [] }, signal),
      () => createClientExporters(sessions).finalize(session.id, {}, signal),
      () => Array.fromAsync(pullUpload(session, new URL('http://buildkit-session/id'), signal)),
      () => untilUnresponsive(session.open, { interval: 1, timeout: 20, failures: 1 }, signal),
      () => openGarbage(random, path.join(rig.dir, 'engine.sock')),
      () => listDirectory(session, request, '', signal),
      () =>
        syncDirectory(
          session,
          request,
          { kind: 'new-tree', baseline: undefined, makeDirectory },
          { pool, signal, onDigests() {} },
        ),
      () =>
        output.sendTrees({ sessionId: session.id, index: 0 }, [{ prefix: '', path: rig.dir }], {
          signal,
          deleteOthers: false,
          onProgress() {},
        }),
    ];
    await Promise.all(
      Array.from({ length: 4 }, () =>
        random
          .pick(questions)()
          .catch((error: unknown) => {
            if (!(error instanceof KilnError)) JSON.stringify(String(error));
          }),
      ),
    );
  });
}

/** Another session, whose tunnel carries no connection. */
async function openGarbage(random: Random, socket: string): Promise<void> {
  await using connection = await GrpcConnection.connect({ kind: 'unix', path: socket });
  const metadata = { 'x-docker-expose-session-uuid': ['garbage'] };
  await using stream = await connection.open(sessionMethod, metadata, AbortSignal.timeout(patience));
  for (let count = 1 + random.below(5); count > 0; count--) {
    await stream.send(mutateMessage(random, encodeBytesMessage(Buffer.from(random.pick(hostileTexts)))));
  }
  for await (const _ of stream);
}

async function* bytes(): AsyncGenerator<Uint8Array> {
  yield Buffer.of(1);
}

function hostileService(random: Random): Readonly<Record<string, CallHandler>> {
  return Object.fromEntries(
    services.flatMap((service) =>
      service.methods.map((method): [string, CallHandler] => [
        methodPath(method),
        async ({ stream, signal }) => {
          const messages = method.name === 'DiffCopy' ? randomPackets(random) : undefined;
          for (let count = random.below(4); count > 0; count--) {
            await stream.send(
              method.output.typeName.endsWith('BytesMessage')
                ? mutateMessage(random, encodeBytesMessage(Buffer.from('bytes')))
                : randomMessage(random, method.output, vocabulary),
            );
          }
          for (const message of messages ?? []) await stream.send(message);
          if (random.chance(0.2)) throw new KilnError('unknown', '\ud800'.repeat(random.below(100)));
          // Some never end by themselves.
          if (random.chance(0.1)) {
            await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
          }
        },
      ]),
    ),
  );
}
