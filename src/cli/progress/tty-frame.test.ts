import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import type { SolveStatus } from '../../client/solve-status.ts';
import { colorsFrom } from './colors.ts';
import { ProgressState } from './progress-state.ts';
import { epoch, explanation, log, transfer, vertex } from './status-fixture.ts';
import { textWidth } from './text-width.ts';
import { type FrameOptions, renderFrame } from './tty-frame.ts';

const plain = colorsFrom({ NO_COLOR: '1' });

function frame(events: readonly SolveStatus[], options: Partial<FrameOptions> = {}): readonly string[] {
  const state = new ProgressState();
  for (const event of events) state.apply(event, epoch);
  const defaults = { width: 60, height: 24, now: epoch, colors: plain, logLines: 6, final: false };
  return renderFrame(state, { ...defaults, ...options });
}

test('a frame has a header with time and counts, and a row for each step', () => {
  const lines = frame(
    [
      vertex('[1/2] FROM base', { started: 0, completed: 0, cached: true }),
      vertex('[2/2] RUN make', { started: 0 }),
      vertex('later'),
    ],
    { now: epoch + 1234 },
  );
  assert.deepEqual(lines, [
    '[+] Building 1.2s (1/3)',
    ' => CACHED [1/2] FROM base                             0.0s',
    ' => [2/2] RUN make                                     1.2s',
  ]);
});

test('the last frame says that the build is finished', () => {
  const lines = frame([vertex('a', { started: 0, completed: 2000 })], { now: epoch + 2000, final: true });
  assert.equal(lines[0], '[+] Building 2.0s (1/1) FINISHED');
});

test('no line is as wide as the terminal, whatever the texts and the width', () => {
  const names = [
    'RUN echo 漢字かな交じり文 👩‍👩‍👧 テスト',
    'é'.repeat(200),
    'a\tb\x1b[31mred\x1b[0m',
    'x'.repeat(300),
  ];
  const events = names.flatMap((name) => [
    vertex(name, { started: 0 }),
    transfer(name, `sha256:${'0'.repeat(64)}`, { time: 0, current: 5, total: 50_000_000 }),
    log(name, `${name}\n`, 0),
  ]);
  for (const width of [1, 5, 13, 20, 21, 40, 61, 80, 200]) {
    for (const line of frame(events, { width, height: 60, now: epoch + 123_456 })) {
      assert.ok(textWidth(line) < width || line === '', `${textWidth(line)} in ${width}: ${line}`);
    }
  }
});

test('running steps show the end of their output, without escape sequences and overwritten text', () => {
  const lines = frame([
    vertex('a', { started: 0 }),
    log('a', Array.from({ length: 20 }, (_, index) => `line ${index}\n`).join(''), 0),
    log('a', '10%\r50%\r\x1b[32m100%\x1b[0m\ndownload', 0),
  ]);
  assert.deepEqual(
    lines.slice(2).map((line) => line.trimEnd()),
    [
      ' => => # line 16',
      ' => => # line 17',
      ' => => # line 18',
      ' => => # line 19',
      ' => => # 100%',
      ' => => # download',
    ],
  );
});

test('output does not steer the terminal, however its control characters are written', () => {
  const hostile = [
    '\x1b]0;title\x07', // a title, the ways that it can end
    '\x1b]0;title\x1b\\',
    '\x9d0;title\x9c',
    '\x1bPdevice\x1b\\',
    '\x1b[2J\x1b[1;1H',
    '\x9b2J',
    '\x1bc\x1b(0\x85\x8d\x90',
  ];
  for (const text of hostile) {
    const [, , line] = frame([vertex('a', { started: 0 }), log('a', `before ${text}\nx\n`, 0)]);
    assert.equal(line, ' => => # before ', JSON.stringify(text));
  }
  const [, , line] = frame([
    vertex('a', { started: 0 }),
    log('a', 'a\x1b[31mb\x1b]8;;url\x07c\x1b]8;;\x07d\n', 0),
  ]);
  assert.equal(line, ' => => # abcd');
});

test('a line of output is read in time that is linear in its length', () => {
  // What looks at every pair of a million takes hours.
  for (const unit of ['\x1b]', '\x1b];a', '\x1bP', '\x1b[', '\x9b0', '\r', '\x1b']) {
    const [, , line] = frame([vertex('a', { started: 0 }), log('a', `seen${unit.repeat(1_000_000)}\n`, 0)]);
    assert.equal(line, ' => => # seen', JSON.stringify(unit));
  }
});

test('in a low terminal what runs stays visible, then the latest', () => {
  const events = [
    vertex('slow', { started: 0 }),
    ...Array.from({ length: 30 }, (_, index) => vertex(`quick ${index}`, { started: 0, completed: 1 })),
  ];
  const lines = frame(events, { height: 6 });
  assert.deepEqual(
    lines.slice(1).map((line) => line.split(/ {2,}/)[0]),
    [' => slow', ' => quick 27', ' => quick 28', ' => quick 29'],
  );
  assert.equal(frame(events, { height: 6, final: true }).length, 32);
  const loading = [
    transfer('quick 0', 'layer', { time: 0 }),
    transfer('quick 1', 'layer', { time: 0, completed: 1 }),
  ];
  assert.deepEqual(
    frame([...events, ...loading], { height: 6 })
      .slice(1)
      .map((line) => line.split(/ {2,}/)[0]),
    [' => slow', ' => => layer', ' => quick 28', ' => quick 29'],
  );
});

test('no frame is higher than the terminal', () => {
  const events = Array.from({ length: 12 }, (_, index) => [
    vertex(`step ${index}`, { started: 0 }),
    log(`step ${index}`, 'a\nb\nc\nd\ne\nf\ng\n', 0),
  ]).flat();
  for (let height = 1; height < 100; height++) {
    const { length } = frame(events, { height });
    assert.ok(length < Math.max(height, 2), `${length} lines in ${height}`);
  }
});

test('colours follow the outcome and the environment', () => {
  const events = [
    vertex('good', { started: 0, completed: 1 }),
    vertex('bad', { started: 0, completed: 1, error: 'broken' }),
  ];
  const coloured = frame(events, {
    colors: colorsFrom({ BUILDKIT_COLORS: 'run=green:error=255,0,7:nonsense=1' }),
  });
  assert.ok(coloured[1]!.startsWith('\x1b[32m'));
  assert.ok(coloured[2]!.startsWith('\x1b[38;2;255;0;7m'));
  assert.match(stripVTControlCharacters(coloured[2]!), /^ => ERROR bad +0\.0s$/);
});

test('why a step was not cached is a row below it', () => {
  const lines = frame([
    vertex('[2/2] RUN make', { started: 0 }),
    explanation('[2/2] RUN make', 'main.c changed'),
  ]);
  assert.deepEqual(lines.slice(1), [
    ' => [2/2] RUN make                                     0.0s',
    ' => => not cached: main.c changed',
  ]);
});
