import { KilnError } from '../../../base/errors.ts';

/** `--format json`, also as Go programs spell it. Throws `invalid_argument` for other templates. */
export function parseFormat(text: string | undefined): 'table' | 'json' {
  if (text === undefined) return 'table';
  if (text === 'json' || /^\{\{ *json +\. *\}\}$/.test(text)) return 'json';
  throw new KilnError('invalid_argument', `--format ${text}: templates are not supported`, {
    hint: 'use --format json, and jq to take it apart',
  });
}
