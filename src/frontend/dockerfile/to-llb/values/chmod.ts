import { KilnError } from '../../../../base/errors.ts';

const clause = /^[ugoa]*(?:[-+=](?:[ugo]|[rwxXst]*))+$/;

/** A `--chmod`: octal permission bits, or a symbolic form that is applied to each file. Throws `invalid_argument`. */
export function parseChmod(text: string): number | string {
  if (/^[0-7]+$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    if (mode <= 0o7777) return mode;
  } else if (text.split(',').every((part) => clause.test(part))) return text;
  throw new KilnError(
    'invalid_argument',
    `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
    { hint: 'symbolic forms such as u=rwX,go=rX are taken too' },
  );
}
