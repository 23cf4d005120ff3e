import { KilnError } from '../../base/errors.ts';
import { cutPair } from './csv-fields.ts';

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

/** The words Go's `strconv.ParseBool` knows. */
export function parseBoolean(what: string, text: string): boolean {
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new KilnError('invalid_argument', `${what}: ${JSON.stringify(text)} is neither true nor false`);
}

const durationUnits: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** A duration in Go's notation (`1h30m`, `72h`, `0`), in nanoseconds. */
export function parseDuration(flag: string, text: string): bigint {
  if (text === '0') return 0n;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) {
    throw new KilnError('invalid_argument', `${flag} ${text}: not a duration`, {
      hint: 'write it with units, for example 72h or 1h30m',
    });
  }
  return BigInt(
    Math.round(parts.reduce((sum, [, value, unit]) => sum + Number(value) * durationUnits[unit!]!, 0)),
  );
}

/** A size with a binary unit (`64m`, `1g`, `512k`, plain bytes), in bytes. */
export function parseSize(flag: string, text: string): number {
  const [, value, unit = ''] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text) ?? [];
  if (value === undefined) {
    throw new KilnError('invalid_argument', `${flag} ${text}: not a size`, {
      hint: 'write it in bytes or with a unit, for example 64m or 1g',
    });
  }
  return Math.floor(Number(value) * 1024 ** ['', 'k', 'm', 'g', 't', 'p'].indexOf(unit.toLowerCase()));
}

/** A number of megabytes (10^6), as `prune` takes them, in bytes. */
export function parseMegabytes(flag: string, text: string): bigint {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new KilnError('invalid_argument', `${flag} ${text}: not a number of megabytes`);
  }
  return BigInt(Math.round(value * 1e6));
}
