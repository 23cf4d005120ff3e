import { KilnError } from '../errors.ts';

const code = {
  quote: 0x22,
  comma: 0x2c,
  openList: 0x5b,
  backslash: 0x5c,
  closeList: 0x5d,
  openObject: 0x7b,
  closeObject: 0x7d,
} as const;

/** As deep as a document may be nested. */
const maxDepth = 1_000;

/** A parsed value takes up to 300 bytes, however short its text is. SBOMs of 40 MiB have about a million values. */
const maxValues = 2_000_000;

/**
 * Refuses JSON whose parsed form would take many times the memory of its text: JSON that is nested too deeply, or has too many values.
 * Counts brackets and commas, and takes linear time and no memory; whether it is JSON is left to the parser. Throws
 * `invalid_argument`; `what` names the JSON in the message.
 */
export function checkJsonBounds(json: Uint8Array, what: string): void {
  let depth = 0;
  let values = 1;
  for (let at = 0; at < json.length; at++) {
    switch (json[at]) {
      case code.quote:
        at = endOfString(json, at);
        break;
      case code.openList:
      case code.openObject:
        values++;
        if (++depth > maxDepth) throw invalid(`${what} is nested more than ${maxDepth} levels deep`);
        break;
      case code.closeList:
      case code.closeObject:
        depth--;
        break;
      case code.comma:
        values++;
        break;
    }
    if (values > maxValues) throw invalid(`${what} has more than ${maxValues} values`);
  }
}

/** Where the quote is that ends the string which begins at `start`. */
function endOfString(json: Uint8Array, start: number): number {
  for (let at = start + 1; at < json.length; at++) {
    if (json[at] === code.quote) return at;
    if (json[at] === code.backslash) at++;
  }
  return json.length;
}

function invalid(message: string): KilnError {
  return new KilnError('invalid_argument', message);
}
