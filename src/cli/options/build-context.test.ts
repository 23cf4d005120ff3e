import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { openBuildContext } from './build-context.ts';

test('a Dockerfile from a pipe that is larger than a Dockerfile may be is refused, not cut', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'kiln-context-'));
  try {
    const pipe = path.join(dir, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const writer = spawn('sh', ['-c', `head -c 20000000 /dev/zero > '${pipe}'`], { stdio: 'ignore' });
    await assert.rejects(openBuildContext(dir, pipe, Readable.from([])), {
      code: 'invalid_argument',
      message: `the Dockerfile from ${pipe} has more than 16 MiB`,
    });
    if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit');
  } finally {
    rmSync(dir, { recursive: true });
  }
});
