import { constants, gunzipSync } from 'node:zlib';
import { errnoOf, KilnError } from '../base/errors.ts';

/** More than is wanted is unpacked at a time, since the headers of files without data follow the one before them in its member. */
const mostAfter = 8 * 1024 * 1024;

/**
 * The first `size` bytes of what a gzip member holds, or fewer if it has no more. Takes memory for little more than these. Throws `data_loss` for
 * what is no gzip. Blocks.
 */
export function unpackMember(member: Uint8Array, size: number): Buffer {
  const whole = unpackPart(member, size);
  if (whole) return whole.subarray(0, size);
  // Far more follows, so less of the member is enough: a byte of it never stands for more than 1,032.
  let enough = 0;
  let tooMuch = member.length;
  while (tooMuch - enough > 1) {
    const middle = (enough + tooMuch) >>> 1;
    const part = unpackPart(member.subarray(0, middle), size);
    if (!part) tooMuch = middle;
    else if (part.length >= size) return part.subarray(0, size);
    else enough = middle;
  }
  throw new KilnError('data_loss', 'a part of the layer cannot be unpacked');
}

/** Undefined when far more than `size` bytes come out. */
function unpackPart(member: Uint8Array, size: number): Buffer | undefined {
  try {
    return gunzipSync(member, { maxOutputLength: size + mostAfter, finishFlush: constants.Z_SYNC_FLUSH });
  } catch (cause) {
    if (errnoOf(cause) === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw new KilnError('data_loss', `a part of the layer is no gzip: ${(cause as Error).message}`, {
      cause,
    });
  }
}
