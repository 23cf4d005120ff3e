import { KilnError } from '../../../base/errors.ts';
import { parseCsv } from '../../../base/text/csv.ts';
import { cutPair } from '../../../base/text/cut-pair.ts';
import { parseBoolean } from './parse-values.ts';

/** A question to ask instead of building. */
export interface Call {
  /** The frontend's name for it, without `frontend.`. */
  readonly name: string;
  readonly format: 'text' | 'json';
  /** Exit with 0 whatever the answer says. */
  readonly ignoreStatus: boolean;
}

/** A `--call`: `check`, `outline,format=json`. Undefined for `build`, which asks nothing. */
export function parseCall(text: string): Call | undefined {
  let name: string | undefined;
  let format: Call['format'] = 'text';
  let ignoreStatus = false;
  for (const field of parseCsv(text)) {
    const [key, value] = cutPair(field) ?? [];
    if (key === undefined || value === undefined) {
      if (name !== undefined) throw invalid(text, `it names both ${name} and ${field}`);
      name = field;
    } else if (key === 'format') {
      if (value !== 'json' && value !== 'text') throw invalid(text, `there is no format ${value}`);
      format = value;
    } else if (key === 'ignorestatus') {
      ignoreStatus = parseBoolean(`--call ${text}: ignorestatus`, value);
    } else throw invalid(text, `there is no ${key}`);
  }
  if (name === undefined || name === '') throw invalid(text, 'it asks nothing');
  if (name === 'build') return undefined;
  return { name: name === 'check' ? 'lint' : name, format, ignoreStatus };
}

function invalid(text: string, why: string): KilnError {
  return new KilnError('invalid_argument', `--call ${text}: ${why}`, {
    hint: 'use check, outline, targets or subrequests.describe, and format=json or ignorestatus=true',
  });
}
