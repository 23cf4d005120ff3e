import { KilnError } from '../../../base/errors.ts';
import { parseByteSize } from '../../../base/text/byte-size.ts';
import { cutPair } from '../../../base/text/cut-pair.ts';
import { parseGoBool } from '../../../base/text/go-bool.ts';
import { parseGoDuration } from '../../../base/text/go-duration.ts';

/** `key=value` arguments of a repeated flag; the last of equal keys wins. */
export function parsePairs(flag: string, values: readonly string[]): Map<string, string> {
  return new Map(
    values.map((value) => {
      const pair = cutPair(value);
      if (!pair || pair[0] === '') {
        throw new KilnError('invalid_argument', `${flag} ${value}: want ${flag} key=value`);
      }
      return pair;
    }),
  );
}

/** A boolean as Go takes it; `what` is named in the error. */
export function parseBoolean(what: string, text: string): boolean {
  const value = parseGoBool(text);
  if (value !== undefined) return value;
  throw new KilnError('invalid_argument', `${what}: ${JSON.stringify(text)} is neither true nor false`);
}

/** A duration in Go's notation (`1h30m`, `72h`, `0`), in nanoseconds. */
export function parseDuration(flag: string, text: string): bigint {
  const duration = parseGoDuration(text);
  if (duration === undefined || duration < 0) {
    throw new KilnError('invalid_argument', `${flag} ${text}: not a duration`, {
      hint: 'write it with units, for example 72h or 1h30m',
    });
  }
  return BigInt(duration);
}

/** A size with a binary unit (`64m`, `1g`, `512k`, plain bytes), in bytes. */
export function parseSize(flag: string, text: string): number {
  const size = parseByteSize(text);
  if (size === undefined) {
    throw new KilnError('invalid_argument', `${flag} ${text}: not a size`, {
      hint: 'write it in bytes or with a unit, for example 64m or 1g',
    });
  }
  return Math.floor(size);
}

/** A number of megabytes (10^6), as `prune` takes them, in bytes. */
export function parseMegabytes(flag: string, text: string): bigint {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new KilnError('invalid_argument', `${flag} ${text}: not a number of megabytes`);
  }
  return BigInt(Math.round(value * 1e6));
}
