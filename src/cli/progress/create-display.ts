import { KilnError } from '../../base/errors.ts';
import { colorsFrom } from './colors.ts';
import { type Display, type Output, type ProgressMode, progressModes } from './display.ts';
import { PlainDisplay } from './plain-display.ts';
import { QuietDisplay } from './quiet-display.ts';
import { RawJsonDisplay } from './raw-json-display.ts';
import { type Terminal, TtyDisplay } from './tty-display.ts';

const defaultLogLines = 6;

/** Where progress is shown: standard error, in practice. */
export type ProgressStream = (Output & { readonly isTTY?: false }) | (Terminal & { readonly isTTY: true });

/**
 * The display for a mode; `auto` is `$BUILDKIT_PROGRESS`, else `tty` on a terminal and `plain` elsewhere.
 * Throws `failed_precondition` for `tty` without a terminal.
 */
export function createDisplay(
  mode: ProgressMode,
  stream: ProgressStream,
  environment: Readonly<Record<string, string | undefined>>,
): Display {
  switch (resolveMode(mode, environment)) {
    case 'quiet':
      return new QuietDisplay(stream);
    case 'rawjson':
      return new RawJsonDisplay(stream);
    case 'plain':
      return new PlainDisplay(stream);
    case 'auto':
      return stream.isTTY ? ttyDisplay(stream, environment) : new PlainDisplay(stream);
    case 'tty':
      if (stream.isTTY) return ttyDisplay(stream, environment);
      throw new KilnError('failed_precondition', 'progress "tty" needs standard error to be a terminal', {
        hint: 'use --progress plain',
      });
  }
}

/** Throws `invalid_argument` for a mode that does not exist. */
export function parseProgressMode(text: string): ProgressMode {
  const mode = progressModes.find((known) => known === text);
  if (!mode) {
    throw new KilnError('invalid_argument', `unknown progress mode ${JSON.stringify(text)}`, {
      hint: `use one of ${progressModes.join(', ')}`,
    });
  }
  return mode;
}

function resolveMode(
  mode: ProgressMode,
  environment: Readonly<Record<string, string | undefined>>,
): ProgressMode {
  return mode === 'auto' && environment.BUILDKIT_PROGRESS
    ? parseProgressMode(environment.BUILDKIT_PROGRESS)
    : mode;
}

function ttyDisplay(
  terminal: Terminal,
  environment: Readonly<Record<string, string | undefined>>,
): TtyDisplay {
  const logLines = Number(environment.BUILDKIT_TTY_LOG_LINES);
  return new TtyDisplay(terminal, {
    colors: colorsFrom(environment),
    logLines: Number.isInteger(logLines) && logLines > 0 ? logLines : defaultLogLines,
  });
}
