import { atLeastOne, noFlags, onlyStrings, type Parts, splitOnce, stringArray } from './instruction-parts.ts';
import type { Instruction } from './instruction-tree.ts';
import { keyValues } from './parse-pairs.ts';

export function parseOnbuild(parts: Parts): Instruction {
  const { line, fail } = parts;
  noFlags(parts);
  const { trigger } = line;
  const { name } = trigger;
  if (name === '') throw atLeastOne(parts);
  if (name === 'ONBUILD') throw fail("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (name === 'MAINTAINER' || name === 'FROM') throw fail(`${name} isn't allowed as an ONBUILD trigger`);
  checkTrigger({ ...parts, line: trigger });
  const documents = parts.heredocs.map((heredoc) => `\n${heredoc.content}${heredoc.name}`);
  return { ...parts.head, kind: 'onbuild', expression: parts.text + documents.join('') };
}

/** Instructions whose arguments can be an array in JSON. */
const arrayInstructions: ReadonlySet<string> = new Set('ADD CMD COPY ENTRYPOINT RUN SHELL VOLUME'.split(' '));

/** Refuses what is written wrong. What a trigger means is looked at when it takes effect. */
function checkTrigger(parts: Parts): void {
  const { name, rest, array } = parts.line;
  if (name === 'ENV' || name === 'LABEL') {
    if (rest !== '') keyValues(parts);
  } else if (name === 'HEALTHCHECK') stringArray(parts, splitOnce(rest)[1] ?? '');
  else if (arrayInstructions.has(name)) onlyStrings(parts, array);
}
