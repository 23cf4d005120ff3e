import { expandWord, type Variables } from '../../expand/expand-word.ts';
import type { StageBuilder } from './stage-builder.ts';

/** How a step is shown: its code with variables filled in where that works, the instruction in upper case. */
export function displayName(
  stage: StageBuilder,
  code: string,
  options: { readonly keep?: boolean; readonly variables?: Variables } = {},
): string {
  return upperCaseKeyword(expanded(stage, code, options));
}

function expanded(
  stage: StageBuilder,
  code: string,
  { keep = false, variables = stage.variables }: { readonly keep?: boolean; readonly variables?: Variables },
): string {
  try {
    return expandWord(stage.context.words.get(code), variables, {
      keepQuotes: keep,
      keepUnset: keep,
      keepUnknown: keep,
    }).text;
  } catch {
    // A shell has more syntax than words have.
    return code;
  }
}

function upperCaseKeyword(text: string): string {
  const space = text.indexOf(' ');
  return space < 0 ? text.toUpperCase() : text.slice(0, space).toUpperCase() + text.slice(space);
}
