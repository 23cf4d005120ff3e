import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { ReadOnlyAgent } from './read-only-agent.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'kiln-agent-'));
after(() => rmSync(dir, { recursive: true }));

test('a step that asks and asks without reading the answers waits, and gets all of them when it reads', async () => {
  const server = createServer((socket) => void socket.pipe(socket));
  const file = path.join(dir, 'agent.sock');
  await once(server.listen(file), 'listening');
  const socket = connect(file);
  await once(socket, 'connect');
  const agent = new ReadOnlyAgent(socket);
  try {
    const [refused, allowed] = [Buffer.of(0, 0, 0, 1, 17), Buffer.of(0, 0, 0, 1, 11)];
    const requests = Buffer.concat([allowed, ...Array.from({ length: 1_000 }, () => refused)]);
    for (let round = 0; round < 500; round++) agent.write(requests);
    for (let turn = 0; turn < 1_000; turn++) await setImmediate();
    assert.ok(agent.readableLength < 256 * 1024, `${agent.readableLength} bytes wait to be read`);
    let received = 0;
    const complete = Promise.withResolvers<void>();
    agent.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received === requests.length * 500) complete.resolve();
    });
    await complete.promise;
  } finally {
    agent.destroy();
    server.close();
  }
});
