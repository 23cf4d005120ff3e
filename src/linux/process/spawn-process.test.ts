import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { type ProcessEnd, type SpawnedProcess, spawnProcess } from './spawn-process.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'kiln-spawn-'));
after(() => rmSync(directory, { recursive: true, force: true }));

function spawned(script: string): { readonly child: SpawnedProcess; output(): string } {
  const [out, err] = ['out', 'err'].map((name) => openSync(path.join(directory, name), 'w')) as [
    number,
    number,
  ];
  try {
    const child = spawnProcess({
      program: 'sh',
      args: ['-c', script],
      cwd: directory,
      stdout: out,
      stderr: err,
    });
    return {
      child,
      output: () => ['out', 'err'].map((name) => readFileSync(path.join(directory, name), 'utf8')).join('|'),
    };
  } finally {
    closeSync(out);
    closeSync(err);
  }
}

const ended = async (script: string): Promise<ProcessEnd> => await spawned(script).child.ended;

test('a process gets its directory, the environment, no input, and its outputs apart', async () => {
  process.env.KILN_SPAWN_TEST = 'given';
  const { child, output } = spawned('pwd; echo "$KILN_SPAWN_TEST"; cat; echo wrong >&2');
  assert.deepEqual(await child.ended, { kind: 'exited', code: 0 });
  assert.equal(output(), `${directory}\ngiven\n|wrong\n`);
});

test('how it ended is told, by code or by signal', async () => {
  assert.deepEqual(await ended('exit 7'), { kind: 'exited', code: 7 });
  assert.deepEqual(await ended('kill -9 $$'), { kind: 'killed', signal: 9 });
});

test('it leads a group of its own and has no signal ignored or blocked', async () => {
  const { child, output } = spawned('grep -E "Sig(Blk|Ign)" /proc/self/status; sleep 600');
  while (!output().includes('SigIgn')) await new Promise((resolve) => setImmediate(resolve));
  assert.match(output(), /SigBlk:\s+0{16}\nSigIgn:\s+0{16}\n/);
  process.kill(-child.pid, 'SIGTERM');
  assert.deepEqual(await child.ended, { kind: 'killed', signal: 15 });
});

test('a program that does not exist is an error at once', () => {
  assert.throws(
    () => spawnProcess({ program: 'no-such-program', args: [], cwd: '/', stdout: 1, stderr: 2 }),
    { code: 'ENOENT' },
  );
});
