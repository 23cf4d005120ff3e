import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SolveStatus } from '../../client/solve-status.ts';
import { PlainPrinter } from './plain-printer.ts';
import { ProgressState } from './progress-state.ts';
import { epoch, explanation, log, status, transfer, vertex, warning } from './status-fixture.ts';

class Transcript {
  readonly #state = new ProgressState();
  readonly #printer = new PlainPrinter(this.#state, (text) => {
    this.#text += text;
  });
  #text = '';

  /** Applies events at a time in milliseconds, and prints. */
  at(time: number, ...events: readonly SolveStatus[]): this {
    for (const event of events) this.#state.apply(event, epoch + time);
    this.#printer.print(epoch + time);
    return this;
  }

  finish(time: number): this {
    this.#printer.finish(epoch + time);
    return this;
  }

  /** What was printed since the last call. */
  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
}

test('steps are numbered, with their lines and how they ended', () => {
  const transcript = new Transcript()
    .at(0, vertex('[1/2] FROM base', { started: 0, completed: 0, cached: true }))
    .at(100, vertex('[2/2] RUN make', { started: 100 }))
    .at(400, log('[2/2] RUN make', 'compiling\n', 350))
    .at(1500, vertex('[2/2] RUN make', { started: 100, completed: 1500 }));
  assert.equal(
    transcript.take(),
    `#1 [1/2] FROM base
#1 CACHED

#2 [2/2] RUN make
#2 0.250 compiling
#2 DONE 1.4s
`,
  );
});

test('a failed step ends with its error, and its last ten lines come again at the end', () => {
  const lines = Array.from({ length: 12 }, (_, index) => `line ${index + 1}\n`).join('');
  const transcript = new Transcript()
    .at(0, vertex('RUN false', { started: 0 }), log('RUN false', lines, 12_345))
    .at(99_000, vertex('RUN false', { started: 0, completed: 99_000, error: 'exit code: 1' }));
  assert.ok(transcript.take().endsWith('#1 12.35 line 12\n#1 ERROR: exit code: 1\n'));
  const end = transcript.finish(99_001).take();
  assert.ok(end.startsWith('------\n > RUN false:\n(2 earlier lines)\n12.35 line 3\n'), end);
  assert.ok(end.endsWith('12.35 line 12\n------\n'));
});

test('a canceled step says so without an error', () => {
  const transcript = new Transcript().at(
    0,
    vertex('RUN sleep', { started: 0, completed: 5, error: 'context canceled' }),
  );
  assert.equal(transcript.finish(6).take(), '#1 RUN sleep\n#1 CANCELED\n');
});

test('steps that run at once take turns of five seconds', () => {
  const transcript = new Transcript()
    .at(0, vertex('a', { started: 0 }), vertex('b', { started: 0 }))
    .at(1000, log('a', 'a1\n', 1000), log('b', 'b1\n', 1000))
    .at(4000, log('b', 'b2\n', 4000));
  assert.equal(transcript.take(), '#1 a\n#1 1.000 a1\n');
  transcript.at(5100, log('a', 'a2\n', 5100));
  assert.equal(transcript.take(), '#1 5.100 a2\n#1 ...\n\n#2 b\n#2 1.000 b1\n#2 4.000 b2\n');
});

test('a step that completes is printed at once, and what interrupted stays resumable', () => {
  const transcript = new Transcript().at(0, vertex('a', { started: 0 }), log('a', 'a1\n', 0));
  transcript.take();
  transcript.at(200, vertex('b', { started: 100, completed: 200 }));
  assert.equal(transcript.take(), '#1 ...\n\n#2 b\n#2 DONE 0.1s\n');
  transcript.at(300, log('a', 'a2\n', 300));
  assert.equal(transcript.take(), '\n#1 a\n#1 0.300 a2\n');
});

test('a transfer is shown when it has moved on by five percent or five seconds, and when it is done', () => {
  const transcript = new Transcript().at(
    0,
    vertex('load', { started: 0 }),
    transfer('load', 'sha256:1', { time: 100, current: 0, total: 1_000_000 }),
  );
  transcript.take();
  transcript.at(200, transfer('load', 'sha256:1', { time: 200, current: 20_000, total: 1_000_000 }));
  assert.equal(transcript.take(), '');
  transcript.at(300, transfer('load', 'sha256:1', { time: 300, current: 500_000, total: 1_000_000 }));
  assert.equal(transcript.take(), '#1 sha256:1 500.00kB / 1.00MB 0.3s\n');
  transcript.at(
    400,
    transfer('load', 'sha256:1', { time: 400, current: 1_000_000, total: 1_000_000, completed: 400 }),
    vertex('load', { started: 0, completed: 450 }),
  );
  assert.equal(transcript.take(), '#1 sha256:1 1.00MB / 1.00MB 0.4s done\n#1 DONE 0.5s\n');
});

test('warnings are shown with their step', () => {
  const transcript = new Transcript().at(0, vertex('a', { started: 0 }), warning('a', 'old syntax'));
  assert.equal(transcript.take(), '#1 a\n#1 WARN: old syntax\n');
});

test('a result that is used again says nothing again', () => {
  const transcript = new Transcript().at(0, vertex('a', { started: 0, completed: 10, cached: true }));
  transcript.take();
  transcript.at(20, vertex('a', { started: 20, completed: 21, cached: true }));
  assert.equal(transcript.take(), '');
});

test('output without a last line feed is printed when the step ends', () => {
  const transcript = new Transcript()
    .at(0, vertex('a', { started: 0 }), log('a', 'half', 10))
    .at(20, vertex('a', { started: 0, completed: 20 }));
  assert.equal(transcript.take(), '#1 a\n#1 0.010 half\n#1 DONE 0.0s\n');
});

test('why a step was not cached is said once, when it is known', () => {
  const transcript = new Transcript()
    .at(0, vertex('[2/2] RUN make', { started: 0 }), log('[2/2] RUN make', 'compiling\n', 350))
    .at(400, explanation('[2/2] RUN make', 'main.c changed (content)'))
    .at(500, vertex('[2/2] RUN make', { started: 0, completed: 500 }));
  assert.equal(
    transcript.take(),
    '#1 [2/2] RUN make\n#1 0.350 compiling\n#1 not cached: main.c changed (content)\n#1 DONE 0.5s\n',
  );
});

test('a group may have a hundred thousand members', () => {
  const group = { id: 'all', name: 'all', weak: false };
  const members = Array.from({ length: 200_000 }, (_, index) =>
    vertex(`${index}`, { started: index, completed: index + 1, group }),
  );
  const vertexes = members.flatMap((event) => event.vertexes);
  const transcript = new Transcript().at(
    0,
    status({ vertexes }),
    vertex('other', { started: 0, completed: 10 }),
  );
  assert.equal(transcript.take(), '#1 other\n#1 DONE 0.0s\n\n#2 all\n#2 DONE 200.0s\n');
});
