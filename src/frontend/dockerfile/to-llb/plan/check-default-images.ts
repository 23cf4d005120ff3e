import { parseReference } from '../../../../oci/reference.ts';
import { expandWord, type Variables } from '../../expand/expand-word.ts';
import type { Linter } from '../../lint/linter.ts';
import { lintRules } from '../../lint/rules.ts';
import type { Dockerfile } from '../../parse/instruction-tree.ts';
import { globalArgs, variablesOf } from './global-args.ts';

/** Warns where a base image would have no valid name if the client gave no arguments. */
export function checkDefaultImages(
  dockerfile: Dockerfile,
  predefined: ReadonlyMap<string, string>,
  linter: Linter,
): void {
  let variables: Variables;
  try {
    variables = variablesOf(globalArgs(dockerfile, predefined, new Map()));
  } catch {
    return;
  }
  for (const { from } of dockerfile.stages) {
    let text: string;
    try {
      text = expandWord(dockerfile.words.get(from.image), variables).text;
    } catch {
      return;
    }
    try {
      parseReference(text);
    } catch {
      linter
        .for(from.comments)
        .report(
          lintRules.invalidDefaultArgInFrom,
          from.range,
          `Default value for ARG ${from.image} results in empty or invalid base image name`,
        );
    }
  }
}
