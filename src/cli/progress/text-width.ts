import { trimEnd } from '../../base/text/trim-end.ts';

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const ascii = /^[\x20-\x7e]*$/;
/** Emoji, and the East Asian scripts that take two cells. */
const wide =
  /^(?:\p{Emoji_Presentation}|\p{Regional_Indicator}|.\uFE0F|[\u1100-\u115F\u2E80-\u303E\u3041-\u33FF\u3400-\u4DBF\u4E00-\u9FFF\uA000-\uA4CF\uA960-\uA97F\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{17000}-\u{18CFF}\u{1B000}-\u{1B2FF}\u{20000}-\u{3FFFD}])/u;
const zeroWidth = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]+$/u;

function cellsOf(grapheme: string): number {
  if (zeroWidth.test(grapheme)) return 0;
  return wide.test(grapheme) ? 2 : 1;
}

/** The terminal cells that a text without control characters takes. */
export function textWidth(text: string): number {
  if (ascii.test(text)) return text.length;
  let cells = 0;
  for (const { segment } of segmenter.segment(text)) cells += cellsOf(segment);
  return cells;
}

/** As much of the beginning of `text` as fits into `width` cells. */
export function clipText(text: string, width: number): string {
  if (width <= 0) return '';
  if (ascii.test(text)) return text.slice(0, width);
  let cells = 0;
  let clipped = '';
  for (const { segment } of segmenter.segment(text)) {
    cells += cellsOf(segment);
    if (cells > width) break;
    clipped += segment;
  }
  return clipped;
}

/** UTF-16 units; what comes after them in a line is in no column of a terminal. */
const maxPrintable = 16_384;
/** Control strings (OSC and the like) with what ends them, control sequences (CSI), and other escapes: ECMA-48, 5.3 to 5.6. Each part can be missing, so nothing is read twice. */
const escapes =
  /(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?/g;

/** A line of a program's output as a terminal would end up showing its beginning: no escape sequences, tabs expanded, overwritten text gone. */
export function printableText(line: string): string {
  const overwritten = trimEnd(line, '\r');
  const start = overwritten.lastIndexOf('\r') + 1;
  const visible = overwritten.slice(start, start + maxPrintable).replace(escapes, '');
  let column = 0;
  return visible
    .replace(/[^\t]+|\t/g, (part) => {
      const text = part === '\t' ? ' '.repeat(8 - (column % 8)) : part;
      column += text.length;
      return text;
    })
    .replace(/[\x00-\x1f\x7f-\x9f]/g, '');
}
