import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { Control } from '../../src/api/gen/control_pb.js';
import { FileSync } from '../../src/api/gen/session_filesync_pb.js';
import { methodPath } from '../../src/api/unary-call.ts';
import { connectDaemon } from '../../src/client/connect-daemon.ts';
import { encodeDefinition, local, toDefinition } from '../../src/llb/llb.ts';
import { createServiceHost } from '../../src/session/service-host.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { Daemon } from '../rig/daemon.ts';
import { project } from '../rig/project.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** More than there are threads for transfers. */
const senders = 12;
/** More than there are threads for work with files. */
const takers = Math.max(2, availableParallelism()) + 1;

/** Fails unless a build that copies, runs and hashes ends while the others stand still. */
async function buildBeside({ kiln }: Daemon, work: WorkDirectory): Promise<void> {
  const said = randomUUID();
  const context = work.tree({
    said,
    Dockerfile: 'FROM base\nCOPY said /said\nRUN cat /said\nCOPY said /b/\n',
  });
  assert.equal(await kiln.textOf('said', context), said);
}

test('nobody waits for clients that are asked for a directory and send nothing', {
  timeout: 240_000,
}, async () => {
  await using daemon = await Daemon.start();
  using work = new WorkDirectory();
  await using stack = new AsyncDisposableStack();
  const asked: Promise<void>[] = [];
  for (let index = 0; index < senders; index++) {
    const connection = stack.use(await connectDaemon(daemon.address));
    const { promise, resolve } = Promise.withResolvers<void>();
    asked.push(promise);
    const host = createServiceHost([
      {
        [methodPath(FileSync.method.diffCopy)]: async ({ signal }) => {
          resolve();
          await once(signal, 'abort');
        },
      },
    ]);
    const session = randomUUID();
    stack.use(await connection.attachSession(host, { id: session, name: '', sharedKey: '' }));
    const definition = encodeDefinition(toDefinition(local('context')));
    createClient(Control, connection.transport)
      .solve({ ref: randomUUID(), session, definition })
      .catch(() => {});
  }
  await Promise.all(asked);
  await buildBeside(daemon, work);
});

/** Lets a program and what it has started stand still, as Ctrl-Z does. */
async function stopWhenItSays({ pid, stderr }: ReturnType<typeof spawn>, said: string): Promise<void> {
  let text = '';
  for await (const chunk of stderr!) {
    text += chunk;
    if (text.includes(said)) break;
  }
  assert.ok(text.includes(said), text);
  process.kill(-pid!, 'SIGSTOP');
}

for (const type of ['tar,dest=-', 'local,dest=DIRECTORY']) {
  test(`nobody waits for clients that do not take their type=${type.split(',')[0]}`, {
    timeout: 240_000,
  }, async () => {
    await using daemon = await Daemon.start();
    using work = new WorkDirectory();
    const large = work.tree({ Dockerfile: 'FROM base\nRUN dd if=/dev/urandom of=/large bs=1M count=64\n' });
    const base = `base=oci-layout://${baseLayout().directory}:latest`;
    await daemon.kiln.build(large);
    const clients = Array.from({ length: takers }, (_, index) => {
      const output = `type=${type.replace('DIRECTORY', work.at(`out${index}`))}`;
      const args = ['--addr', daemon.address, 'build', '--progress', 'plain', '--build-context', base];
      return spawn(project.kiln, [...args, '-o', output, large], {
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      });
    });
    try {
      await Promise.all(clients.map((client) => stopWhenItSays(client, 'exporting to client')));
      await buildBeside(daemon, work);
    } finally {
      for (const { pid } of clients) process.kill(-pid!, 'SIGKILL');
      await Promise.all(
        clients.map((client) => client.exitCode ?? client.signalCode ?? once(client, 'exit')),
      );
    }
  });
}
