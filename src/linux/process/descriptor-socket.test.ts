import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { DescriptorSocket } from './descriptor-socket.ts';

test('who connects and hands nothing over is no descriptor, and keeps no socket open', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'kiln-descriptor-'));
  try {
    for (const sent of ['', 'bytes']) {
      const file = path.join(directory, 'socket');
      using socket = new DescriptorSocket(file);
      assert.equal(socket.take(), undefined);
      const client = net.connect(file);
      await once(client, 'connect');
      client.end(sent);
      for (let look = 0; look < 10; look++) assert.equal(socket.take(), undefined);
      socket[Symbol.dispose]();
      assert.equal(socket.take(), undefined);
      assert.ok(!existsSync(file));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('says where it cannot be', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'kiln-descriptor-'));
  const file = path.join(directory, 'taken');
  try {
    mkdirSync(file);
    assert.throws(() => new DescriptorSocket(file), { code: 'EADDRINUSE', path: file });
    assert.throws(() => new DescriptorSocket(path.join(file, 'missing/socket')), { code: 'ENOENT' });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
