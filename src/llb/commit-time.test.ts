import assert from 'node:assert/strict';
import test from 'node:test';
import { commitTime } from './commit-time.ts';

test('a commit has the time of who committed it, not of its author or what its message says', () => {
  const text = [
    'tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904',
    'author A <a@example.test> 1000000000 +0000',
    'committer B > C <b@example.test> 1234567890 +0200',
    '',
    'committer X <x@example.test> 1 +0000',
  ];
  assert.deepEqual(commitTime(Buffer.from(text.join('\n'))), new Date(1_234_567_890_000));
  assert.equal(commitTime(Buffer.from(text.toSpliced(2, 1).join('\n'))), undefined);
  const endless = text.with(2, `committer B <b@example.test> ${'9'.repeat(20)} +0000`);
  assert.equal(commitTime(Buffer.from(endless.join('\n'))), undefined);
});
