import type { Command } from 'commander';
import { parseGoBool } from '../../base/text/go-bool.ts';
import { parseBoolean } from './values/parse-values.ts';

/**
 * Lets flags without a value be given one, as Go's programs do: `--push=true` is `--push`, `--push=false` is nothing. A flag that can have
 * other values has another flag beside it for them: `--load=docker` is `--load-into=docker`. Arguments after `--` are not touched.
 * Throws `invalid_argument` for other values.
 */
export function expandBooleanFlags(args: readonly string[], program: Command): string[] {
  const options = [program, ...program.commands].flatMap((command) => command.options);
  const all = new Set(options.map((option) => option.long));
  const flags = new Set(
    options.filter((option) => option.isBoolean() || option.negate).map((option) => option.long),
  );
  const end = args.indexOf('--');
  const flagArguments = end < 0 ? args : args.slice(0, end);
  const expanded = flagArguments.flatMap((argument) => {
    const [, flag, value] = /^(--[a-z-]+)=(.*)$/.exec(argument) ?? [];
    if (flag === undefined || value === undefined || !flags.has(flag)) return [argument];
    const valued = `${flag}-into`;
    if (all.has(valued) && parseGoBool(value) === undefined) return [`${valued}=${value}`];
    return parseBoolean(flag, value) ? [flag] : [];
  });
  return end < 0 ? expanded : [...expanded, ...args.slice(end)];
}
