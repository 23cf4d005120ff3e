import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { firstAnswer } from './first-answer.ts';

/** Does what the name says; tells in `asked` that it was asked. */
function asking(asked: string[]) {
  return async (name: string, signal: AbortSignal): Promise<string> => {
    asked.push(name);
    if (name.startsWith('fails')) throw new Error(name);
    if (name.startsWith('stalls')) {
      await once(signal, 'abort');
      asked.push(`${name} no more`);
    }
    return name;
  };
}

test('the first that answers counts, whoever fails or stalls before it', async () => {
  const asked: string[] = [];
  const names = ['fails', 'stalls', 'answers', 'is not asked'];
  const answer = await firstAnswer(names, asking(asked), { patience: 10 });
  assert.deepEqual(answer, { kind: 'answered', value: 'answers' });
  await nextTurn();
  assert.deepEqual(asked, ['fails', 'stalls', 'answers', 'stalls no more']);
});

test('when all fail, the failures of all are told in order', async () => {
  const answer = await firstAnswer(['fails 1', 'fails 2'], asking([]), { patience: 10 });
  assert.deepEqual(answer, { kind: 'failed', failures: [new Error('fails 1'), new Error('fails 2')] });
  assert.deepEqual(await firstAnswer([], asking([]), { patience: 10 }), { kind: 'failed', failures: [] });
});

test('who leaves stops those that were asked', async () => {
  const leaving = new AbortController();
  const asked: string[] = [];
  const answer = firstAnswer(['stalls 1', 'stalls 2'], asking(asked), {
    patience: 10,
    signal: leaving.signal,
    isLate: () => {
      leaving.abort();
      return false;
    },
  });
  await assert.rejects(answer, { code: 'canceled' });
  await nextTurn();
  assert.deepEqual(asked, ['stalls 1', 'stalls 1 no more']);
});
