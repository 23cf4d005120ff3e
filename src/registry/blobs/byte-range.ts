import { KilnError } from '../../base/errors.ts';
import type { HttpAnswer } from '../../http/http-client.ts';

/** Bytes of a blob. */
export interface ByteRange {
  readonly offset: number;
  /** Undefined: to the end. */
  readonly length?: number;
}

/** The header that asks for a range; none for the whole. */
export function rangeHeader({ offset, length }: ByteRange): Readonly<Record<string, string>> {
  if (offset === 0 && length === undefined) return {};
  return { range: `bytes=${offset}-${length === undefined ? '' : offset + length - 1}` };
}

/**
 * The offset of the first byte in an answer to a question for `range` of a blob with `size` bytes: a server may send all instead. Throws
 * `data_loss`, with `what` in front, when it sends a range that was not asked for, or says that the blob has another size.
 */
export function answeredOffset(answer: HttpAnswer, range: ByteRange, size: number, what: string): number {
  const length = Number(answer.headers['content-length'] ?? Number.NaN);
  if (answer.status === 200) {
    if (!Number.isNaN(length) && length !== size) {
      throw new KilnError('data_loss', `${what}: the server has ${length} bytes of it, and it has ${size}`);
    }
    return 0;
  }
  const header = answer.headers['content-range'];
  // The digest tells whether a server without that header sent the right bytes.
  if (header === undefined) return range.offset;
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header) ?? [];
  const end = range.length === undefined ? size : range.offset + range.length;
  const right =
    Number(first) === range.offset && Number(last) < end && (total === '*' || Number(total) === size);
  if (right) return range.offset;
  throw new KilnError(
    'data_loss',
    `${what}: asked for bytes ${range.offset} to ${end - 1} of ${size}, the server sent ${JSON.stringify(header)}`,
  );
}
