const nanoseconds: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/**
 * The whole nanoseconds of a duration in the notation of Go's `time.ParseDuration` (`1h30m`, `-1.5s`, `0`). Undefined for
 * anything else.
 */
export function parseGoDuration(text: string): number | undefined {
  const match = /^([+-]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)$/.exec(text);
  if (!match) return undefined;
  let total = 0;
  for (const [, amount, unit] of match[2]!.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    const scale = nanoseconds[unit!]!;
    const [whole = '', fraction = ''] = amount!.split('.');
    // The digits are multiplied as a whole number: 1.001 times a thousand million is a little less than it should be. What comes after
    // thirteen digits is less than a nanosecond, even of an hour.
    const digits = fraction.slice(0, 13);
    total += Number(whole) * scale + Math.trunc((Number(digits) * scale) / 10 ** digits.length);
  }
  return match[1] === '-' && total > 0 ? -total : total;
}
