import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { parseDigest } from '../base/digest.ts';
import { encodeMountIndex } from './encode-mount-index.ts';
import type { MountIndex } from './mount-index.ts';
import { parseMountIndex } from './parse-mount-index.ts';

const owned = { uid: 0, gid: 5, time: -1_500_000_000n };
const index: MountIndex = {
  packs: [
    {
      digest: parseDigest(`sha256:${'a'.repeat(64)}`),
      size: 10,
      chunks: [
        { hash: 'b'.repeat(64), length: 4 },
        { hash: 'c'.repeat(64), length: 5 },
      ],
    },
  ],
  mounts: [
    {
      id: '/cache',
      takenAt: 1_700_000_000_000,
      entries: [
        { kind: 'directory', path: '', ...owned, mode: 0o755 },
        { kind: 'directory', path: 'd\u00ff', ...owned, mode: 0o1777 },
        { kind: 'file', path: 'd\u00ff/f', ...owned, mode: 0o644, chunks: [1, 0, 1] },
        { kind: 'symlink', path: 'l', ...owned, target: '/etc' },
        { kind: 'hard-link', path: 'h', target: 'd\u00ff/f' },
      ],
    },
  ],
};

test('an index is read as it was written', () => {
  assert.deepEqual(parseMountIndex(encodeMountIndex(index)), index);
});

test('an index that says anything else is refused', () => {
  const root = ['d', '', 0, 0, '0', 493];
  const file = (name: string, chunks: unknown = []) => ['f', name, 0, 0, '0', 420, chunks];
  const link = ['l', 'l', 0, 0, '0', '/'];
  const pack = { digest: `sha256:${'a'.repeat(64)}`, size: 1, hashes: 'b'.repeat(64), lengths: [1] };
  const withEntries = (...entries: unknown[]) => ({
    version: 1,
    packs: [pack],
    mounts: [{ id: 'm', takenAt: 1, entries }],
  });
  const withPack = (change: object) => ({ version: 1, packs: [{ ...pack, ...change }], mounts: [] });
  const hostile: readonly unknown[] = [
    null,
    [],
    { version: 2, packs: [], mounts: [] },
    { version: 1, packs: {}, mounts: [] },
    { version: 1, packs: [], mounts: [null] },
    withEntries(root, file('../x')),
    withEntries(root, file('a/../x')),
    withEntries(root, file('/x')),
    withEntries(root, file('')),
    withEntries(root, file('a\0b')),
    withEntries(root, file('\u0100')),
    withEntries(root, file('a'.repeat(256))),
    withEntries(root, file('d/x')),
    withEntries(file('x')),
    withEntries(root, link, file('l/x')),
    withEntries(root, file('x'), file('x')),
    withEntries(root, file('x'), file('x/y')),
    withEntries(root, file('x', [1])),
    withEntries(root, file('x', [-1])),
    withEntries(root, file('x', [0.5])),
    withEntries(root, file('x', Array(5).fill('0'))),
    withEntries(root, ['h', 'h', 'x']),
    withEntries(root, link, ['h', 'h', 'l']),
    withEntries(root, ['d', 'x', -1, 0, '0', 493]),
    withEntries(root, ['d', 'x', 0, 0, '1e9', 493]),
    withEntries(root, ['d', 'x', 0, 0, '0', 0o100755]),
    withEntries(root, ['c', 'x', 0, 0, '0', 420]),
    withPack({ digest: 'sha256:x' }),
    withPack({ digest: `sha256:${'../'.repeat(20)}aaaa` }),
    withPack({ lengths: [0] }),
    withPack({ lengths: [1, 1] }),
    withPack({ lengths: [17 * 1024 * 1024] }),
    withPack({ hashes: 'B'.repeat(64) }),
    withPack({ size: 1e12 }),
    { version: 1, packs: [pack, pack], mounts: [] },
    { version: 1, packs: [], mounts: [{ id: '', takenAt: 1, entries: [] }] },
    { version: 1, packs: [], mounts: [{ id: 'm', takenAt: 'now', entries: [] }] },
    { version: 1, packs: [], mounts: [1, 2].map(() => ({ id: 'm', takenAt: 1, entries: [] })) },
  ];
  for (const document of hostile) {
    const stored = zstdCompressSync(JSON.stringify(document));
    assert.throws(
      () => parseMountIndex(stored),
      { code: 'data_loss' },
      JSON.stringify(document).slice(0, 200),
    );
  }
  assert.doesNotThrow(() =>
    parseMountIndex(zstdCompressSync(JSON.stringify(withEntries(root, file('x', [0]))))),
  );
  for (const stored of [Buffer.from('{}'), zstdCompressSync('{'), Buffer.alloc(0)]) {
    assert.throws(() => parseMountIndex(stored), { code: 'data_loss' });
  }
  const much = Buffer.alloc(65 * 1024 * 1024);
  assert.throws(() => parseMountIndex(much), { code: 'data_loss' });
});

test('a few bytes that are said to come again and again are too many', () => {
  const packs = [
    { digest: `sha256:${'a'.repeat(64)}`, size: 1, hashes: 'b'.repeat(64), lengths: [16 * 1024 * 1024] },
  ];
  const entries = [
    ['d', '', 0, 0, '0', 493],
    ['f', 'x', 0, 0, '0', 420, Array(5000).fill(0)],
  ];
  const document = { version: 1, packs, mounts: [{ id: 'm', takenAt: 1, entries }] };
  assert.throws(() => parseMountIndex(zstdCompressSync(JSON.stringify(document))), { code: 'data_loss' });
});
