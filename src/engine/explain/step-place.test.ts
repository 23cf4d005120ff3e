import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepPlace } from './step-place.ts';

const pin = `sha256:${'0'.repeat(64)}`;
const cases: readonly [string, ReturnType<typeof stepPlace>][] = [
  ['[build 2/5] RUN make', { stage: 'build', kind: 'RUN', position: 2, text: 'RUN make' }],
  [
    '[linux/arm64 build 2/5] COPY a b',
    { stage: 'linux/arm64 build', kind: 'COPY', position: 2, text: 'COPY a b' },
  ],
  ['[2/5] RUN make', { stage: 'stage', kind: 'RUN', position: 2, text: 'RUN make' }],
  ['[build 10/12] RUN a\nb', { stage: 'build', kind: 'RUN', position: 10, text: 'RUN a\nb' }],
  [`[a 1/3] FROM base:1@${pin}`, { stage: 'a', kind: 'FROM', position: 1, text: 'FROM base:1' }],
  ['mkfile /a', { stage: '', kind: 'file', position: 0, text: 'mkfile /a' }],
  ['[context base] load', { stage: '', kind: 'file', position: 0, text: '[context base] load' }],
];

for (const [name, place] of cases)
  test(`${JSON.stringify(name)} is at ${place.stage || 'no stage'}, ${place.position}`, () => {
    assert.deepEqual(stepPlace(name, 'file'), place);
  });
