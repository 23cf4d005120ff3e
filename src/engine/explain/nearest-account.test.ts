import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestAccount } from './nearest-account.ts';
import type { StepAccount } from './step-account.ts';

function step(position: number, text: string, parent = 'parent', value = ''): StepAccount {
  return {
    key: `${text} ${parent} ${value}`,
    place: { stage: 'build', kind: text.split(' ', 1)[0]!, position, text },
    fields: [{ kind: 'command', name: 'command', value: text + value }],
    inputs: [{ keys: [parent], selections: [], from: 'build', step: parent }],
  };
}

const none = () => false;

test('a step is an edit of the one with the same text, wherever that was', () => {
  const same = step(5, 'RUN make all', 'other');
  assert.equal(nearestAccount(step(2, 'RUN make all'), [step(2, 'RUN make some'), same], none), same);
});

test('of steps with the same text, the one with most equal inputs and fields counts', () => {
  const equal = step(2, 'RUN make', 'parent', 'x');
  const others = [step(2, 'RUN make', 'other', 'x'), equal, step(2, 'RUN make', 'other', 'y')];
  assert.equal(nearestAccount(step(2, 'RUN make', 'parent', 'z'), others, none), equal);
});

test('of equals the first counts', () => {
  const [one, two] = [step(3, 'RUN make', 'a'), step(2, 'RUN make', 'b')];
  assert.equal(nearestAccount(step(2, 'RUN make', 'c'), [one, two], none), one);
});

test('a step with another text in the same place, after the same step, is an edit', () => {
  const before = step(2, 'RUN make');
  assert.equal(nearestAccount(step(2, 'RUN ninja'), [before], none), before);
  assert.equal(nearestAccount(step(2, 'RUN ninja', 'other'), [before], none), undefined);
  assert.equal(nearestAccount(step(3, 'RUN ninja'), [before], none), undefined);
});

test('a step that the build still has was not edited', () => {
  const before = step(2, 'RUN make');
  assert.equal(
    nearestAccount(step(2, 'RUN ninja'), [before], (other) => other === before),
    undefined,
  );
});

test('an instruction is never an edit of another kind', () => {
  assert.equal(nearestAccount(step(2, 'COPY a b'), [step(2, 'ADD a b')], none), undefined);
});
