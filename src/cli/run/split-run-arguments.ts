import type { Command, Option } from 'commander';

/**
 * Puts `--` behind the image of `kiln run IMAGE COMMAND…`, so that nothing of the command is taken for a flag of kiln. Other command
 * lines stay as they are.
 */
export function splitRunArguments(args: readonly string[], program: Command): string[] {
  const name = nextOperand(args, 0, program.options);
  const command = program.commands.find((each) => each.name() === 'run');
  if (name === undefined || args[name] !== 'run' || !command) return [...args];
  const image = nextOperand(args, name + 1, [...program.options, ...command.options]);
  if (image === undefined) return [...args];
  return [...args.slice(0, image + 1), '--', ...args.slice(image + 1)];
}

/** The position of the first argument from `start` on that is neither a flag nor the value of one. */
function nextOperand(args: readonly string[], start: number, options: readonly Option[]): number | undefined {
  for (let at = start; at < args.length; at++) {
    const argument = args[at]!;
    if (argument === '--') return undefined;
    if (!argument.startsWith('-') || argument === '-') return at;
    if (takesNext(argument, options)) at++;
  }
  return undefined;
}

function takesNext(argument: string, options: readonly Option[]): boolean {
  if (argument.startsWith('--')) {
    return options.some((option) => option.long === argument && option.required);
  }
  // Of a cluster of short flags, the first that takes a value takes what is left of it, or else the next argument.
  for (let at = 1; at < argument.length; at++) {
    const option = options.find(({ short }) => short === `-${argument[at]}`);
    if (option?.required) return at === argument.length - 1;
  }
  return false;
}
