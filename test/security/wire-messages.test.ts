import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { parseAddress, socketOptions } from '../../src/api/address.ts';
import { Debug } from '../../src/api/gen/kiln_debug_pb.js';
import { mapLimit } from '../../src/base/async/lifetime.ts';
import { fuzz } from '../../src/base/testing/fuzz.ts';
import { Random } from '../../src/base/testing/random.ts';
import { connectDaemon } from '../../src/client/connect-daemon.ts';
import { connectionWith, type Header, hostileConnection } from '../fuzz/wire/hostile-connection.ts';
import { vocabulary } from '../fuzz/wire/vocabulary.ts';
import { Daemon } from '../rig/daemon.ts';
import { eventually } from '../rig/eventually.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** KILN_FUZZ_MESSAGES: how many, in each test here; KILN_FUZZ_SEED: the first seed, which alone decides what is sent. */
const count = Number(process.env.KILN_FUZZ_MESSAGES ?? 1500);
const firstSeed = Number(process.env.KILN_FUZZ_SEED ?? 1);

/** Writes `bytes` to the daemon as a new connection, reads what comes, and leaves soon after that has stopped. */
async function connection(daemon: Daemon, bytes: Uint8Array): Promise<void> {
  const socket = net.connect(socketOptions(parseAddress(daemon.address)));
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.setTimeout(30, () => socket.destroy());
  socket.resume();
  socket.write(bytes);
  await closed;
}

/** Of a call; those that begin with a colon come first. */
const headersOf = (
  method: string,
  changes: Readonly<Record<string, string | undefined>>,
): readonly Header[] =>
  Object.entries({
    ':method': 'POST',
    ':scheme': 'http',
    ':path': `/moby.buildkit.v1.Control/${method}`,
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...changes,
  }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
const session = headersOf('Session', { 'x-docker-expose-session-uuid': 'hostile' });

/** Each is one call of a client that nobody has to trust. */
const single: Readonly<Record<string, Uint8Array>> = {
  'a message of a session that is no protobuf': connectionWith(
    session,
    Buffer.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff),
  ),
  'metadata that has the name of what every object has': connectionWith([...session, ['constructor', 'x']]),
  'metadata that has the name of the prototype of an object': connectionWith([
    ...session,
    ['__proto__', 'x'],
  ]),
  'a call to an authority that is none': connectionWith(
    headersOf('Info', { ':authority': '[' }),
    Buffer.alloc(0),
  ),
};

test(`a daemon outlives ${Object.keys(single).join(', ')}`, async () => {
  await using daemon = await Daemon.start();
  for (const bytes of Object.values(single)) {
    await connection(daemon, bytes);
    await daemon.kiln.must(['debug', 'info']);
  }
});

const descriptors = ({ process: { pid } }: Daemon): number => readdirSync(`/proc/${pid}/fd`).length;

/** Fails unless the daemon answers, builds, and holds nothing of anybody who has left. */
async function assertSound(daemon: Daemon, descriptorsBefore: number): Promise<void> {
  using work = new WorkDirectory();
  const { stderr } = await daemon.kiln.build(work.tree({ Dockerfile: 'FROM base\nRUN true\n' }));
  assert.match(stderr, /DONE/);
  await using client = await connectDaemon(daemon.address);
  const debug = createClient(Debug, client.transport);
  let left = '';
  await eventually(
    async () => {
      const { builds, vertices } = await debug.solver({});
      const open = descriptors(daemon);
      left = `${builds.length} builds, ${vertices.length} vertices, ${open} descriptors`;
      // The database's files and idle threads come and go.
      return builds.length === 0 && vertices.length === 0 && open < descriptorsBefore + 20;
    },
    () => left,
  );
  const { residentBytes } = await debug.process({ collectGarbage: true });
  assert.ok(residentBytes < 700n * 1024n * 1024n, `${residentBytes} bytes resident`);
}

test(`a daemon outlives ${count} random and damaged messages in random and damaged calls, answers, builds, and holds nothing of them`, async () => {
  await using daemon = await Daemon.start();
  using work = new WorkDirectory();
  await daemon.kiln.build(work.tree({ Dockerfile: 'FROM base\nRUN true\n' }));
  const before = descriptors(daemon);
  let sent = 0;
  let seed = firstSeed;
  const inFlight = new Set<number>();
  try {
    await mapLimit(Array.from({ length: 16 }), 16, async () => {
      while (sent < count) {
        const own = seed++;
        inFlight.add(own);
        const hostile = hostileConnection(new Random(own), vocabulary);
        sent += hostile.messages;
        await connection(daemon, hostile.bytes);
        assert.equal(daemon.process.hasEnded(), false);
        inFlight.delete(own);
      }
    });
  } catch (error) {
    const seeds = [...inFlight].sort((a, b) => a - b).join(', ');
    assert.fail(
      `seeds ${seeds} (KILN_FUZZ_SEED=${Math.min(...inFlight)}): ${error}\n${daemon.process.stderr()}`,
    );
  }
  await assertSound(daemon, before);
});

const others: Readonly<Record<string, { readonly task: string; readonly messagesInOne: number }>> = {
  'the engine outlives clients whose services answer with random and damaged messages': {
    task: 'hostile-client',
    messagesInOne: 10,
  },
  'kiln outlives daemons that answer and ask with random and damaged messages': {
    task: 'hostile-daemon',
    messagesInOne: 10,
  },
};

for (const [name, { task, messagesInOne }] of Object.entries(others)) {
  test(`${name}, ${count} of them`, async () => {
    const failure = await fuzz({
      firstSeed,
      count: Math.ceil(count / messagesInOne),
      task: new URL(`../fuzz/wire/${task}.task.ts`, import.meta.url),
    });
    if (failure) assert.fail(`seed ${failure.seed} (KILN_FUZZ_SEED=${failure.seed}): ${failure.report}`);
  });
}
