import { atSource, type DockerfileSource } from '../dockerfile-error.ts';
import { findDirective } from '../parse/directives.ts';
import type { Dockerfile, FromInstruction, Instruction } from '../parse/instruction-tree.ts';
import { parseDockerfile } from '../parse/parse-dockerfile.ts';
import { checkInstructions } from './check-tree.ts';
import {
  defaultLintSettings,
  Linter,
  type LintFinding,
  type LintSettings,
  parseLintSettings,
} from './linter.ts';

/**
 * Parses a Dockerfile. When it cannot be read to its end, `onFinding` gets the findings about the instructions before the
 * error, and then the function throws.
 */
export function parseChecked(
  source: DockerfileSource,
  settings: LintSettings | undefined,
  onFinding: (finding: LintFinding) => void,
): Dockerfile {
  const read: (FromInstruction | Instruction)[] = [];
  try {
    return parseDockerfile(source, (instruction) => read.push(instruction));
  } catch (error) {
    checkInstructions(read, new Linter(settings ?? lintSettingsOf(source), onFinding));
    throw error;
  }
}

/**
 * What a file's `check` directive asks for. As with BuildKit it may follow a first line `#!…`, which ends the directives of a
 * parsed `Dockerfile`. Throws `invalid_argument` with its place.
 */
export function lintSettingsOf(source: DockerfileSource): LintSettings {
  const directive = findDirective(Buffer.from(source.data).toString('utf8'), 'check');
  if (!directive) return defaultLintSettings;
  try {
    return parseLintSettings(directive.value);
  } catch (error) {
    const place = { line: directive.line, character: 0 };
    throw atSource(error, source, [{ start: place, end: place }]).wrap('failed to parse check options');
  }
}
