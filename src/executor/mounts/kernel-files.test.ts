import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { refuseOverKernelFiles } from './kernel-files.ts';
import type { OciMount } from './oci-mount.ts';

// With work for each pair of them this would take minutes.
test('very many mounts are looked at, each through those before it', { timeout: 60_000 }, () => {
  const root = mkdtempSync(path.join(tmpdir(), 'kiln-mounts-'));
  try {
    mkdirSync(path.join(root, 'rootfs'));
    mkdirSync(path.join(root, 'bound'));
    symlinkSync('/proc', path.join(root, 'bound/link'));
    const tmpfs = (destination: string): OciMount => ({
      destination,
      type: 'tmpfs',
      source: 'tmpfs',
      options: [],
    });
    const bound: OciMount = {
      destination: '/a',
      type: 'bind',
      source: path.join(root, 'bound'),
      options: [],
    };
    const many = Array.from({ length: 100_000 }, (_, index) => tmpfs(`/b/${index}`));
    const check = (...mounts: OciMount[]) => refuseOverKernelFiles(path.join(root, 'rootfs'), mounts);
    check(...many, tmpfs('/a/link'));
    assert.throws(() => check(...many, bound, tmpfs('/a/link')), /cannot mount over \/proc, where \/a\/link/);
    check(bound, ...many, tmpfs('/a'), tmpfs('/a/link'));
  } finally {
    rmSync(root, { recursive: true });
  }
});
