/** Of what is kept, how much comes from the beginning; the end tells how something went wrong, so it is kept as well. */
const headShare = 0.6;

/** `text` in at most `limit` bytes of UTF-8, well-formed: a longer one loses its middle, between whole characters, and says so. */
export function boundedText(text: string, limit: number): string {
  const bytes = Buffer.from(text.toWellFormed());
  if (bytes.length <= limit) return bytes.toString();
  const note = (left: number) => ` [... ${left} bytes left out ...] `;
  const kept = limit - note(bytes.length).length;
  const head = bytes.subarray(0, characterStart(bytes, Math.floor(kept * headShare)));
  const tail = bytes.subarray(characterStart(bytes, bytes.length - (kept - Math.floor(kept * headShare)), 1));
  return `${head}${note(bytes.length - head.length - tail.length)}${tail}`;
}

/** The nearest place where a character begins, from `at` on in steps of `step`. */
function characterStart(bytes: Uint8Array, at: number, step: 1 | -1 = -1): number {
  let start = at;
  while (start > 0 && start < bytes.length && (bytes[start]! & 0xc0) === 0x80) start += step;
  return start;
}
