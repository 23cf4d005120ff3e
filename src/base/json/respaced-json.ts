const code = {
  tab: 0x09,
  newline: 0x0a,
  return: 0x0d,
  space: 0x20,
  quote: 0x22,
  ampersand: 0x26,
  comma: 0x2c,
  colon: 0x3a,
  less: 0x3c,
  greater: 0x3e,
  openList: 0x5b,
  backslash: 0x5c,
  closeList: 0x5d,
  openObject: 0x7b,
  closeObject: 0x7d,
} as const;

/**
 * JSON with its white space made anew, as Go's `encoding/json` writes what it was given as text: order, numbers and strings stay as they
 * are, except that `<`, `>`, `&`, U+2028 and U+2029 are escaped. Without `indent` there is no white space. `json` has to be JSON: only
 * what a parser has accepted.
 */
export function respacedJson(json: Uint8Array, options: { readonly indent?: number } = {}): Uint8Array {
  const { indent } = options;
  const out = new GrowingText(json.length);
  let depth = 0;
  let inString = false;
  /** After an opening bracket, before anything else: an empty list or object stays on its line. */
  let opened = false;
  const newLine = () => {
    if (indent === undefined) return;
    out.byte(code.newline);
    for (let spaces = depth * indent; spaces > 0; spaces--) out.byte(code.space);
  };
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]!;
    if (inString) {
      at += writeInString(json, at, out);
      inString = byte !== code.quote;
      continue;
    }
    if (byte === code.space || byte === code.newline || byte === code.tab || byte === code.return) continue;
    const closing = byte === code.closeObject || byte === code.closeList;
    if (closing) {
      depth--;
      if (!opened) newLine();
    } else if (opened) {
      newLine();
    }
    opened = byte === code.openObject || byte === code.openList;
    if (opened) depth++;
    out.byte(byte);
    if (byte === code.quote) inString = true;
    else if (byte === code.comma) newLine();
    else if (byte === code.colon && indent !== undefined) out.byte(code.space);
  }
  return out.bytes();
}

/** Writes what is at one place inside a string, and returns how many bytes more than one it was. */
function writeInString(json: Uint8Array, at: number, out: GrowingText): number {
  const byte = json[at]!;
  switch (byte) {
    case code.less:
    case code.greater:
    case code.ampersand:
      out.text(`\\u00${byte.toString(16)}`);
      return 0;
    case code.backslash:
      out.byte(byte);
      out.byte(json[at + 1]!);
      return 1;
    case 0xe2: {
      // U+2028 and U+2029 in UTF-8.
      const last = json[at + 2]!;
      if (json[at + 1] !== 0x80 || (last !== 0xa8 && last !== 0xa9)) break;
      out.text(last === 0xa8 ? '\\u2028' : '\\u2029');
      return 2;
    }
  }
  out.byte(byte);
  return 0;
}

class GrowingText {
  #buffer: Buffer;
  #used = 0;

  constructor(expected: number) {
    this.#buffer = Buffer.allocUnsafe(expected + 64);
  }

  byte(value: number): void {
    if (this.#used === this.#buffer.length) {
      const grown = Buffer.allocUnsafe(this.#buffer.length * 2);
      this.#buffer.copy(grown);
      this.#buffer = grown;
    }
    this.#buffer[this.#used++] = value;
  }

  text(value: string): void {
    for (let index = 0; index < value.length; index++) this.byte(value.charCodeAt(index));
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#used);
  }
}
