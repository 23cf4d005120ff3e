import { KilnError } from '../../base/errors.ts';
import { parseByteSize } from '../../base/text/byte-size.ts';
import { parseGoDuration } from '../../base/text/go-duration.ts';
import type { DiskSpace } from './daemon-config.ts';

/** Values of the configuration, as people write them. `where` names the key or flag in errors. */

/** `512MB`, `10g`, a number of bytes, or `20%` of the disk. */
export function parseDiskSpace(value: unknown, where: string): DiskSpace {
  if (typeof value === 'number' && value >= 0) return { kind: 'bytes', bytes: value };
  const text = typeof value === 'string' ? value.trim() : '';
  const percentage = /^(\d+(?:\.\d+)?)%$/.exec(text);
  if (percentage) return { kind: 'percentage', percentage: Number(percentage[1]) };
  const size = parseByteSize(text);
  if (size !== undefined) return { kind: 'bytes', bytes: Math.round(size) };
  throw new KilnError('invalid_argument', `${where}: invalid disk space ${JSON.stringify(value)}`, {
    hint: 'write it as 10GB, 512MB, a number of bytes, or 20% (of the disk)',
  });
}

/** Go's form, `48h30m`, or a number of seconds. In milliseconds. */
export function parseDuration(value: unknown, where: string): number {
  if (typeof value === 'number') return value * 1000;
  const text = typeof value === 'string' ? value.trim() : '';
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const duration = parseGoDuration(text);
  if (duration !== undefined && duration >= 0) return duration / 1e6;
  throw new KilnError('invalid_argument', `${where}: invalid duration ${JSON.stringify(value)}`, {
    hint: 'write it as 48h, 90m, 30s, or a number of seconds',
  });
}

export function parseString(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw wrongType(value, where, 'a string');
}

export function parseNumber(value: unknown, where: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  if (typeof value === 'string' && /^\d+$/.test(value)) return Number(value);
  throw wrongType(value, where, 'a whole number that is not negative');
}

export function parseBoolean(value: unknown, where: string): boolean {
  if (typeof value === 'boolean') return value;
  switch (typeof value === 'string' ? value.toLowerCase() : undefined) {
    case 'true':
    case '1':
      return true;
    case 'false':
    case '0':
      return false;
    default:
      throw wrongType(value, where, 'true or false');
  }
}

export function parseStrings(value: unknown, where: string): readonly string[] {
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  throw wrongType(value, where, 'a list of strings');
}

export function parseOneOf<const T extends string>(value: unknown, where: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found !== undefined) return found;
  throw wrongType(value, where, `one of ${allowed.join(', ')}`);
}

function wrongType(value: unknown, where: string, wanted: string): KilnError {
  return new KilnError('invalid_argument', `${where}: want ${wanted}, have ${JSON.stringify(value)}`);
}
