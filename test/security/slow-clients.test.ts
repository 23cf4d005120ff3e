import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { Control } from '../../src/api/gen/control_pb.js';
import { FileSend, FileSync } from '../../src/api/gen/session_filesync_pb.js';
import { methodPath } from '../../src/api/unary-call.ts';
import { connectDaemon } from '../../src/client/connect-daemon.ts';
import { healthService } from '../../src/client-services/health-service.ts';
import { encodeDefinition, files, local, type State, scratch, toDefinition } from '../../src/llb/llb.ts';
import { createServiceHost } from '../../src/session/service-host.ts';
import { Daemon } from '../rig/daemon.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** More than there are threads for any kind of work. */
const many = Math.max(12, availableParallelism() + 1);

const some = scratch().file(files().mkfile('/0', 0o644, randomBytes(8 * 1024 * 1024)));
/** More than what is on its way to a client that takes nothing. */
const large = some.file(
  Array.from({ length: 8 }, (_, index) => index + 1).reduce(
    (actions, index) => actions.copy(some, '/0', `/${index}`),
    files(),
  ),
);

interface Stall {
  /** What is built. */
  readonly state: State;
  readonly exporter?: string;
  /** The method of the client's session in which it stands still. */
  readonly method: string;
}

const stalls: Readonly<Record<string, Stall>> = {
  'are asked for a directory and send nothing': {
    state: local('context'),
    method: methodPath(FileSync.method.diffCopy),
  },
  'do not take their type=tar': {
    state: large,
    exporter: 'tar',
    method: methodPath(FileSend.method.diffCopy),
  },
  'do not take their type=local': {
    state: large,
    exporter: 'local',
    method: methodPath(FileSend.method.diffCopy),
  },
};

/** Sends a build whose client answers, but stands still in one method; resolves when it does. */
async function stall(
  daemon: Daemon,
  { state, exporter, method }: Stall,
  stack: AsyncDisposableStack,
): Promise<void> {
  const connection = stack.use(await connectDaemon(daemon.address));
  const { promise, resolve } = Promise.withResolvers<void>();
  const host = createServiceHost([
    healthService(),
    {
      [method]: async ({ signal }) => {
        resolve();
        await once(signal, 'abort');
      },
    },
  ]);
  const session = randomUUID();
  stack.use(await connection.attachSession(host, { id: session, name: '', sharedKey: '' }));
  createClient(Control, connection.transport)
    .solve({
      ref: randomUUID(),
      session,
      definition: encodeDefinition(toDefinition(state)),
      exporters: exporter === undefined ? [] : [{ type: exporter }],
    })
    .catch(() => {});
  await promise;
}

for (const [name, kind] of Object.entries(stalls)) {
  test(`nobody waits for clients that ${name}`, { timeout: 120_000 }, async () => {
    await using daemon = await Daemon.start();
    using work = new WorkDirectory();
    await using stack = new AsyncDisposableStack();
    for (let index = 0; index < many; index++) await stall(daemon, kind, stack);
    const said = randomUUID();
    const context = work.tree({
      said,
      Dockerfile: 'FROM base\nCOPY said /said\nRUN cat /said\nCOPY said /b/\n',
    });
    assert.equal(await daemon.kiln.textOf('said', context), said);
  });
}
