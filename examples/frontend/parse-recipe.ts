import type { BuildFile } from 'kiln/frontend';

/** A line of a recipe. */
export type Step = { readonly line: number } & (
  | { readonly kind: 'from'; readonly name: string }
  | { readonly kind: 'take'; readonly path: string; readonly dish: string | undefined; readonly to: string }
  | { readonly kind: 'ask' | 'set'; readonly name: string; readonly value: string }
  | { readonly kind: 'do' | 'serve'; readonly command: string }
);

/** What can be built: `dish NAME: description`, and the lines below it. */
export interface Dish {
  readonly name: string;
  readonly description: string;
  readonly line: number;
  readonly steps: readonly Step[];
}

/** How lines are written, by their first word. */
const forms: Readonly<Record<Step['kind'], { readonly pattern: RegExp; readonly example: string }>> = {
  from: { pattern: /^(?<name>\S+)$/, example: 'from IMAGE' },
  take: {
    pattern: /^(?<path>\S+)(?: of (?<dish>\S+))? to (?<to>\S+)$/,
    example: 'take PATH [of DISH] to PATH',
  },
  ask: { pattern: /^(?<name>\w+) = (?<value>.*)$/, example: 'ask NAME = DEFAULT' },
  set: { pattern: /^(?<name>\w+) = (?<value>.*)$/, example: 'set NAME = VALUE' },
  do: { pattern: /^(?<command>.+)$/, example: 'do COMMAND' },
  serve: { pattern: /^(?<command>.+)$/, example: 'serve COMMAND' },
};

/** The dishes of a file, by name. Throws what is wrong, with its line. */
export function parseRecipe(file: BuildFile): ReadonlyMap<string, Dish> {
  const dishes = new Map<string, Dish>();
  let steps: Step[] | undefined;
  for (const [index, written] of file.lines.entries()) {
    const line = index + 1;
    const text = written.trim();
    if (text === '' || text.startsWith('#')) continue;
    const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(text) ?? [];
    if (word === 'dish') {
      const [name = '', description = ''] = rest.split(/:\s*(.*)/);
      if (!/^\w+$/.test(name)) throw file.error(line, 'a dish needs a name: dish NAME: description');
      if (dishes.has(name)) throw file.error(line, `there are two dishes ${name}`);
      steps = [];
      dishes.set(name, { name, description, line, steps });
      continue;
    }
    if (!Object.hasOwn(forms, word)) {
      throw file.error(line, `nobody knows how to ${word}`, {
        hint: `a line starts with dish, ${Object.keys(forms).join(', ')}`,
      });
    }
    if (!steps) throw file.error(line, 'this line is of no dish', { hint: 'start with: dish NAME' });
    const { pattern, example } = forms[word as Step['kind']];
    const { groups } = pattern.exec(rest) ?? {};
    if (!groups) throw file.error(line, `want: ${example}`);
    steps.push({ line, kind: word, ...groups } as Step);
  }
  if (dishes.size === 0) throw file.error(1, 'there is no dish to make', { hint: 'start with: dish NAME' });
  return dishes;
}
