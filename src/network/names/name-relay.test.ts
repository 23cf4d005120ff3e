import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { NetworkControl } from '../../linux/network/network-control.ts';
import { NetworkNamespace } from '../../linux/network/network-namespace.ts';
import { openListener } from '../../linux/network/open-listener.ts';
import { NetworkRig } from '../network-rig.ts';
import { NameRelay } from './name-relay.ts';

// Port 53 of this machine is that of others.
const machine = NetworkRig.enter();
after(() => machine[Symbol.dispose]());

function newNamespace(): NetworkNamespace {
  const namespace = NetworkNamespace.create();
  using control = namespace.run(() => new NetworkControl());
  control.setUp('lo');
  return namespace;
}

/** A socket on the machine that answers each datagram as `answer` says. */
async function server(address: string, answer: (question: string) => string | undefined): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('message', (data, from) => {
    const said = answer(String(data));
    if (said !== undefined) socket.send(said, from.port, from.address);
  });
  socket.bind(53, address);
  await once(socket, 'listening');
  return socket;
}

/** A socket inside, for questions to the relay. */
function inside(namespace: NetworkNamespace): Socket {
  const socket = createSocket('udp4');
  socket.bind({ fd: namespace.run(() => openListener('udp', '127.0.0.1', 0)) });
  return socket;
}

async function answerTo(socket: Socket, question: string, { address }: NameRelay): Promise<string> {
  socket.send(question, 53, address);
  const [answer] = await once(socket, 'message', { signal: AbortSignal.timeout(10_000) });
  return String(answer);
}

test('questions are passed on as they are, and answers back, by the first server that has one', async (t) => {
  using namespace = newNamespace();
  const asked: string[] = [];
  const ask = inside(namespace);
  const sockets = [
    ask,
    await server('127.0.0.62', (question) => {
      asked.push(question);
      return `answer to ${question}`;
    }),
    await server('127.0.0.63', () => 'never'),
  ];
  t.after(() => {
    for (const socket of sockets) socket.close();
  });
  // Nobody is at the first one.
  using relay = new NameRelay(namespace, ['127.0.0.61', '127.0.0.62', '127.0.0.63']);
  assert.equal(await answerTo(ask, 'one', relay), 'answer to one');
  assert.equal(await answerTo(ask, 'two\0', relay), 'answer to two\0');
  assert.deepEqual(asked, ['one', 'two\0']);
});

test('connections are passed on', async (t) => {
  using namespace = newNamespace();
  const listener = createServer((socket) => {
    socket.once('data', (data) => socket.end(`answer to ${data}`));
  });
  t.after(() => listener.close());
  listener.listen(53, '127.0.0.64');
  await once(listener, 'listening');
  using relay = new NameRelay(namespace, ['127.0.0.64']);
  const program = namespace.run(() =>
    spawn('busybox', ['timeout', '10', 'busybox', 'nc', relay.address, '53']),
  );
  program.stdin.write('one');
  assert.equal(await text(program.stdout), 'answer to one');
});

test('a flood of questions that nobody answers is bounded, and ends with the relay', async (t) => {
  using namespace = newNamespace();
  let silent = 0;
  const ask = inside(namespace);
  const flood = inside(namespace);
  const sockets = [
    ask,
    flood,
    await server('127.0.0.65', (question) => {
      if (question === 'last') return 'answer';
      silent++;
      return undefined;
    }),
  ];
  t.after(() => {
    for (const socket of sockets) socket.close();
  });
  {
    using relay = new NameRelay(namespace, ['127.0.0.65']);
    for (let index = 0; index < 1000 || silent < 200; index++) {
      flood.send(`${index}`, 53, relay.address);
      if (index % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  assert.equal(silent, 200);
  using relay = new NameRelay(namespace, ['127.0.0.65']);
  assert.equal(await answerTo(ask, 'last', relay), 'answer');
});
