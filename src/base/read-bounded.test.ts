import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { readBounded } from './read-bounded.ts';

test('files, devices and pipes are read to their end, or to the limit', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'kiln-read-'));
  try {
    writeFileSync(path.join(dir, 'file'), 'file');
    assert.equal((await readBounded(path.join(dir, 'file'), 10)).toString(), 'file');
    assert.equal((await readBounded(path.join(dir, 'file'), 3)).toString(), 'fil');
    assert.deepEqual(await readBounded('/dev/zero', 100_000), Buffer.alloc(100_000));
    assert.equal((await readBounded('/dev/null', 10)).length, 0);
    const pipe = path.join(dir, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const read = readBounded(pipe, 10);
    execFileSync('sh', ['-c', `printf pipe > '${pipe}'`]);
    assert.equal((await read).toString(), 'pipe');
  } finally {
    rmSync(dir, { recursive: true });
  }
});
