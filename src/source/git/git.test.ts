import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Git } from './git.ts';

const git = Git.create(AbortSignal.timeout(30_000));
const alias = (command: string) => ['-c', `alias.x=!${command}`, 'x'];

test('a command that gives more than it may is ended', async () => {
  const bounded = git.with({ mostOutput: 4096 });
  assert.equal((await bounded.read(alias('head -c 4096 /dev/zero'))).length, 4096);
  await assert.rejects(bounded.read(alias('cat /dev/zero')), {
    code: 'resource_exhausted',
    message: /gave more than 4096 bytes/,
  });
});

test('of messages the end is kept, however long they or their lines are', async () => {
  const lines: string[] = [];
  const told = git.with({ onMessage: (line) => lines.push(line) });
  const { stderr } = await told.try(
    alias(`{ head -c 8000000 /dev/zero | tr '\\0' m; echo; echo last; } >&2; exit 1`),
  );
  assert.match(stderr, /mm\nlast\n$/);
  assert.equal(stderr.length, 256 * 1024);
  assert.deepEqual(
    lines.map((line) => line.slice(-4)),
    ['mmmm', 'last'],
  );
  assert.ok(lines[0]!.length < 1_000_000);
});
