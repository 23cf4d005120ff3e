import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import { colorsFrom } from './colors.ts';
import { createDisplay, parseProgressMode } from './create-display.ts';
import { PlainDisplay } from './plain-display.ts';
import { epoch, log, vertex } from './status-fixture.ts';
import { TtyDisplay } from './tty-display.ts';

/** Interprets what the display writes: line feeds, carriage returns, cursor movements up, and erasing. */
class Screen extends EventEmitter {
  readonly isTTY = true as const;
  columns = 60;
  rows = 10;
  cursorShown = true;
  /** All lines ever written, those that scrolled out at the top included. */
  readonly lines: string[] = [''];
  #row = 0;
  #column = 0;

  write(text: string): boolean {
    for (const [token] of text.matchAll(/\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+/g)) this.#apply(token);
    return true;
  }

  #apply(token: string): void {
    const line = this.lines[this.#row]!;
    if (token === '\n') {
      this.#row++;
      this.#column = 0;
      if (this.#row === this.lines.length) this.lines.push('');
    } else if (token === '\r') this.#column = 0;
    else if (token === '\x1b[K') this.lines[this.#row] = line.slice(0, this.#column);
    else if (token === '\x1b[J') this.lines.splice(this.#row + 1);
    else if (token === '\x1b[?25l') this.cursorShown = false;
    else if (token === '\x1b[?25h') this.cursorShown = true;
    else if (token.endsWith('A')) {
      const top = Math.max(0, this.lines.length - this.rows);
      this.#row = Math.max(top, this.#row - Number(token.slice(2, -1)));
    } else if (!token.startsWith('\x1b')) {
      this.lines[this.#row] = line.slice(0, this.#column) + token + line.slice(this.#column + token.length);
      this.#column += token.length;
    }
  }
}

const colors = colorsFrom({ NO_COLOR: '1' });

test('frames are drawn over each other, and the last one stays with the log of what failed', () => {
  const screen = new Screen();
  screen.write('$ kiln build\n');
  using display = new TtyDisplay(screen, { colors, logLines: 3 });
  for (let index = 0; index < 15; index++) {
    display.update(vertex(`step ${index}`, { started: 0, completed: 0 }));
    screen.emit('resize');
  }
  display.update(vertex('RUN false', { started: 0 }));
  display.update(log('RUN false', 'broken\n', 0));
  screen.emit('resize');
  assert.equal(screen.lines.filter((line) => line.startsWith('[+]')).length, 1);
  assert.ok(screen.lines.some((line) => line === ' => => # broken'));
  assert.equal(screen.cursorShown, false);

  display.update(vertex('RUN false', { started: 0, completed: 0, error: 'exit code: 1' }));
  display.finish();
  const heads = screen.lines.map((line) => line.split(/ {2,}/)[0]);
  const steps = Array.from({ length: 15 }, (_, index) => ` => step ${index}`);
  assert.deepEqual(heads.slice(2, 18), [...steps, ' => ERROR RUN false']);
  assert.deepEqual(screen.lines.slice(18), ['------', ' > RUN false:', '0.000 broken', '------', '']);
  assert.equal(screen.cursorShown, true);
});

test('a notice stays above the picture', () => {
  const screen = new Screen();
  using display = new TtyDisplay(screen, { colors, logLines: 3 });
  display.update(vertex('a', { started: epoch }));
  screen.emit('resize');
  display.notice('canceling');
  assert.equal(screen.lines[0], 'canceling');
  assert.ok(screen.lines[1]!.startsWith('[+] Building'));
});

test('a display that is given up leaves the terminal usable', () => {
  const screen = new Screen();
  {
    using display = new TtyDisplay(screen, { colors, logLines: 3 });
    display.update(vertex('a', { started: 0 }));
  }
  assert.equal(screen.cursorShown, true);
  assert.equal(screen.listenerCount('resize'), 0);
});

test('the mode is chosen by flag, environment and terminal', () => {
  const file = { write: () => true };
  assert.ok(createDisplay('auto', file, {}) instanceof PlainDisplay);
  using onTerminal = createDisplay('auto', new Screen(), {});
  assert.ok(onTerminal instanceof TtyDisplay);
  assert.ok(createDisplay('auto', new Screen(), { BUILDKIT_PROGRESS: 'plain' }) instanceof PlainDisplay);
  assert.throws(() => createDisplay('tty', file, {}), KilnError);
  assert.throws(() => parseProgressMode('loud'), KilnError);
});
