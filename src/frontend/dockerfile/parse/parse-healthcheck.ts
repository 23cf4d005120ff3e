import { parseGoDuration } from '../../../base/text/go-duration.ts';
import { flagTables } from './flags.ts';
import { atLeastOne, flagsOf, type Parts, splitOnce, stringArray } from './instruction-parts.ts';
import type { HealthcheckInstruction } from './instruction-tree.ts';

export function parseHealthcheck(parts: Parts): HealthcheckInstruction {
  const { line, fail } = parts;
  const [word, command = ''] = splitOnce(line.rest);
  if (word === '') throw atLeastOne(parts);
  const head = { ...parts.head, kind: 'healthcheck' as const };
  const type = word.toUpperCase();
  if (type === 'NONE') {
    if (command !== '') throw fail('HEALTHCHECK NONE takes no arguments');
    return { ...head, test: ['NONE'], interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };
  }
  const flags = flagsOf(parts, flagTables.healthcheck);
  if (type !== 'CMD') {
    throw fail(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`, {
      start: line.restStart,
      end: line.restStart + word.length,
    });
  }
  const args = stringArray(parts, command);
  if (args ? args.length === 0 : command === '') throw fail('Missing command after HEALTHCHECK CMD');
  const interval = (flag: keyof typeof flags) => parseInterval(parts, flag, flags[flag]);
  return {
    ...head,
    test: args ? ['CMD', ...args] : ['CMD-SHELL', command],
    interval: interval('interval'),
    timeout: interval('timeout'),
    startPeriod: interval('start-period'),
    startInterval: interval('start-interval'),
    retries: parseRetries(parts, flags.retries),
  };
}

function parseInterval({ fail }: Parts, flag: string, value: string | undefined): number {
  if (!value) return 0;
  const duration = parseGoDuration(value);
  if (duration === undefined) {
    throw fail(
      `invalid duration ${JSON.stringify(value)} for --${flag}`,
      undefined,
      'write it as 30s or 1m30s',
    );
  }
  if (duration !== 0 && duration < 1e6) {
    throw fail(`Interval ${JSON.stringify(flag)} cannot be less than 1ms`);
  }
  return duration;
}

function parseRetries({ fail }: Parts, value: string | undefined): number {
  if (!value) return 0;
  if (!/^[+-]?\d+$/.test(value)) throw fail(`invalid number ${JSON.stringify(value)} for --retries`);
  const retries = Number(value);
  if (retries > 0x7fffffff) throw fail(`--retries is too large (${value})`);
  if (retries < 0) throw fail(`--retries cannot be negative (${retries})`);
  return retries;
}
