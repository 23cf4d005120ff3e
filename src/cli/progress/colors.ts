import { ownValue } from '../../base/own-value.ts';
/** SGR parameters (ECMA-48) for what the display colours; undefined shows it plain. */
export interface Colors {
  readonly run: string | undefined;
  readonly cancel: string | undefined;
  readonly warning: string | undefined;
  readonly error: string | undefined;
  readonly log: string | undefined;
}

const names: Readonly<Record<string, string>> = Object.fromEntries([
  ['default', '39'],
  ...['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'].flatMap((name, index) => [
    [name, `${30 + index}`],
    [`light-${name}`, `${90 + index}`],
  ]),
]);

const plain: Colors = {
  run: undefined,
  cancel: undefined,
  warning: undefined,
  error: undefined,
  log: undefined,
};

/**
 * The colours of the terminal display. `NO_COLOR` turns them off (no-color.org);
 * `BUILDKIT_COLORS=run=green:error=255,0,0` changes some, by name or by red, green, blue. What cannot be understood is ignored.
 */
export function colorsFrom(environment: Readonly<Record<string, string | undefined>>): Colors {
  if (environment.NO_COLOR) return plain;
  const colors: Record<keyof Colors, string | undefined> = {
    run: '34',
    cancel: '33',
    warning: '33',
    error: '31',
    log: '2',
  };
  for (const field of environment.BUILDKIT_COLORS?.split(':') ?? []) {
    const [key = '', value = ''] = field.replaceAll('"', '').toLowerCase().split('=');
    const color = ownValue(names, value) ?? rgb(value);
    if (color && (key === 'run' || key === 'cancel' || key === 'warning' || key === 'error'))
      colors[key] = color;
  }
  return colors;
}

function rgb(value: string): string | undefined {
  const parts = value.split(',');
  const valid = parts.length === 3 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
  return valid ? `38;2;${parts.join(';')}` : undefined;
}

export function paint(text: string, color: string | undefined): string {
  return color === undefined ? text : `\x1b[${color}m${text}\x1b[0m`;
}
