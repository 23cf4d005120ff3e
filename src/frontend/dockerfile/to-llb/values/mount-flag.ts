import { KilnError } from '../../../../base/errors.ts';
import { parseCsv } from '../../../../base/text/csv.ts';
import { cutPair } from '../../../../base/text/cut-pair.ts';

/** A `RUN --mount` as it is written: variables are not expanded, and options not checked. */
export interface MountFlag {
  readonly fields: readonly MountField[];
  /** The tree that it is taken from, known before variables are; empty without any. */
  readonly from: string;
}

/** One `key=value` of it. */
export interface MountField {
  /** The whole field, for messages. */
  readonly text: string;
  /** In lower case. */
  readonly key: string;
  readonly value: string | undefined;
}

/** Reads `type=cache,target=/x,…`. Throws `invalid_argument` for misplaced quotes and a variable in `from`. */
export function parseMountFlag(text: string): MountFlag {
  const fields = parseCsv(text).map((field) => {
    const [key, value] = cutPair(field) ?? [field];
    return { text: field, key: key.toLowerCase(), value };
  });
  const from = fields.find(({ key }) => key === 'from')?.value ?? '';
  const dollar = from.indexOf('$');
  if (dollar >= 0 && dollar !== from.length - 1) {
    throw new KilnError(
      'invalid_argument',
      "'from' doesn't support variable expansion, define alias stage instead",
    );
  }
  return { fields, from };
}
