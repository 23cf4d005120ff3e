import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { parseModeChange } from './mode-change.ts';

test('a mode change does what chmod does', (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), 'kiln-mode-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = path.join(dir, 'file');
  const folder = path.join(dir, 'folder');
  writeFileSync(file, '');
  mkdirSync(folder);
  const changes = [
    '755',
    '0640',
    '4711',
    'u+x',
    'a-w',
    'go=',
    'u=rwX,go=rX',
    'a+X',
    'a-X',
    'g=u',
    'o+g,u-w',
    'u+s',
    'g+s,o-x',
    '+t',
    'u=rw,g+w-x',
    'ug+rw',
    '=r',
  ];
  for (const change of changes) {
    for (const before of [0o644, 0o755, 0o4711, 0o600, 0o111]) {
      for (const [name, isDirectory] of [
        [file, false],
        [folder, true],
      ] as const) {
        // GNU chmod treats set-id bits of directories in a way of its own.
        if (isDirectory && before > 0o777) continue;
        chmodSync(name, before);
        execFileSync('sh', ['-c', 'umask 0; chmod -- "$1" "$2"', 'sh', change, name]);
        const expected = statSync(name).mode & 0o7777;
        assert.equal(
          parseModeChange(change)(before, isDirectory),
          expected,
          `${change} on ${before.toString(8)}`,
        );
      }
    }
  }
});

test('a malformed mode is refused', () => {
  for (const text of ['', '8', '99999', 'u', 'u+q', '+x,', 'z=r']) {
    assert.throws(() => parseModeChange(text), { code: 'invalid_argument' }, text);
  }
});
