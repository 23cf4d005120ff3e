import type { Range } from '../../../base/errors.ts';
import type { Answer } from './answer.ts';
import { locationOf } from './location.ts';
import { textTable } from './text-table.ts';

/** The parameters of a target, in the order in which they are shown. */
export interface OutlineParts {
  readonly name?: string;
  readonly description?: string;
  readonly args: readonly OutlinedArg[];
  readonly secrets: readonly OutlinedMount[];
  readonly agents: readonly OutlinedMount[];
  /** The file that they are in. */
  readonly data: Uint8Array;
}

export interface OutlinedArg {
  readonly name: string;
  readonly description?: string;
  readonly value?: string;
  readonly range?: Range;
}

export interface OutlinedMount {
  readonly name: string;
  readonly required: boolean;
  readonly range?: Range;
}

/** The answer to the question for the parameters of a target. */
export function outlineAnswer({ name, description, args, secrets, agents, data }: OutlineParts): Answer {
  return {
    json: {
      name,
      description,
      args: listed(args, (arg) => ({
        name: arg.name,
        description: arg.description || undefined,
        value: arg.value || undefined,
        location: arg.range && locationOf(arg.range),
      })),
      secrets: listed(secrets, mountJson),
      ssh: listed(agents, mountJson),
      sources: [Buffer.from(data).toString('base64')],
    },
    text: [
      targetTable(name, description),
      table(
        ['BUILD ARG', 'VALUE', 'DESCRIPTION'],
        args.map((arg) => [arg.name, arg.value ?? '', arg.description ?? '']),
      ),
      table(['SECRET', 'REQUIRED'], secrets.map(mountCells)),
      table(['SSH', 'REQUIRED'], agents.map(mountCells)),
    ].join(''),
  };
}

/** Nothing for an empty list. */
function listed<T, U>(all: readonly T[], json: (each: T) => U): readonly U[] | undefined {
  return all.length > 0 ? all.map(json) : undefined;
}

function mountJson({ name, required, range }: OutlinedMount) {
  return { name, required: required || undefined, location: range && locationOf(range) };
}

function mountCells({ name, required }: OutlinedMount): readonly string[] {
  return [name, required ? 'true' : ''];
}

function targetTable(name: string | undefined, description: string | undefined): string {
  if (name === undefined && description === undefined) return '';
  const rows = [
    ['TARGET:', name ?? '(default)'],
    ...(description === undefined ? [] : [['DESCRIPTION:', description]]),
  ];
  return `${textTable(rows, 1)}\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? '' : `${textTable([head, ...rows], 3)}\n`;
}
