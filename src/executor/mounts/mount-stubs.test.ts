import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { MountStubs } from './mount-stubs.ts';

// With work for each pair of them this would take minutes.
test('very many mount points are made and removed', { timeout: 60_000 }, () => {
  const root = mkdtempSync(path.join(tmpdir(), 'kiln-stubs-'));
  try {
    const stubs = new MountStubs(root, { recursive: true });
    const points = Array.from({ length: 100_000 }, (_, index) => `/a/${index % 100}/b`);
    stubs.make(['/a/7', ...points].map((dest) => ({ dest, kind: 'directory' })));
    assert.equal(readdirSync(path.join(root, 'a')).length, 100);
    assert.deepEqual(readdirSync(path.join(root, 'a/8')), ['b']);
    assert.deepEqual(readdirSync(path.join(root, 'a/7')), []);
    stubs.remove();
    assert.deepEqual(readdirSync(root), []);
  } finally {
    rmSync(root, { recursive: true });
  }
});
