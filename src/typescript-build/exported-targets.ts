import { asKilnError, KilnError, type Position } from '../base/errors.ts';
import { didYouMean } from '../frontend/dockerfile/nearest.ts';
import type { BuildFile } from '../frontend-kit/build-file.ts';
import { checkResult } from '../frontend-kit/build-result.ts';
import type { FrontendBuild } from '../frontend-kit/frontend-build.ts';
import type { FrontendDefinition } from '../frontend-kit/frontend-definition.ts';
import { argumentsOf, isTarget, type TargetFunction } from '../frontend-kit/target.ts';
import type { SourceLocation } from '../llb/llb.ts';

interface ExportedTarget {
  readonly name: string;
  readonly build: TargetFunction<never>;
  readonly isDefault: boolean;
  readonly place: Position;
}

/** Told what is done, and where it is written. */
export type OnBegin = (what: string, place: SourceLocation) => void;

/** Build arguments that mean something without being declared. */
const predefined = /^(SOURCE_DATE_EPOCH|BUILDKIT_\w+|(https?|ftp|no|all)_proxy)$/i;

/** The functions that a file exports, as a frontend. */
export function exportedTargets(
  exported: Readonly<Record<string, unknown>>,
  file: BuildFile,
  onBegin: OnBegin,
): FrontendDefinition {
  const targets = targetsOf(exported, file);
  const fail = (place: Position, message: string, hint?: string) =>
    failAt(file, place, new KilnError('invalid_argument', message, { hint }));
  const wanted = ({ target }: FrontendBuild): ExportedTarget => {
    const names = targets.map(({ name }) => name);
    const found =
      target === ''
        ? targets.find(({ isDefault }) => isDefault)
        : targets.find(({ name }) => name === target);
    if (found) return found;
    const start = { line: 1, character: 0 };
    if (targets.length === 0) {
      throw fail(
        start,
        `${file.name} exports no function; expected one that returns a state, an image or a directory`,
      );
    }
    if (target === '')
      throw fail(start, `${file.name} has no default target; expected --target ${names.join(' or ')}`);
    const known = Object.hasOwn(exported, target)
      ? `${target} is no function`
      : `there is no target ${target}${didYouMean(target, names)}`;
    throw fail(start, `${known}; expected one of ${names.join(', ')}`);
  };
  return {
    async build(build) {
      const { name, build: exportedFunction, place } = wanted(build);
      onBegin(`target ${name} did not return`, locationAt(file, place));
      const atExport = <T>(work: () => T): T => {
        try {
          return work();
        } catch (error) {
          throw failAt(file, place, error);
        }
      };
      const args = atExport(() => {
        checkArguments(exportedFunction, name, build, targets);
        return argumentsOf(exportedFunction, build);
      });
      // What the file throws has a place of its own.
      const result: unknown = await exportedFunction(args, build);
      return atExport(() => checkResult(result, `target ${name}`));
    },
    targets: () =>
      targets.map(({ name, isDefault, place, build }) => ({
        name,
        isDefault,
        line: place.line,
        ...(isTarget(build) && build.description !== undefined && { description: build.description }),
      })),
    outline(build) {
      const { name, place, build: exportedFunction } = wanted(build);
      if (!isTarget(exportedFunction)) return { name, line: place.line };
      return {
        name,
        line: place.line,
        description: exportedFunction.description,
        args: Object.entries(exportedFunction.parameters).map(([arg, parameter]) => ({
          name: arg,
          description: parameter.description,
          value: build.buildArgs.get(arg) ?? parameter.default,
          line: lineOfArgument(file, place, arg),
        })),
      };
    },
  };
}

function checkArguments(
  exported: TargetFunction<never>,
  name: string,
  { buildArgs }: FrontendBuild,
  targets: readonly ExportedTarget[],
): void {
  if (!isTarget(exported)) return;
  const names = Object.keys(exported.parameters);
  // Whoever builds several targets gives all of them the same arguments.
  const all = new Set(targets.flatMap(({ build }) => (isTarget(build) ? Object.keys(build.parameters) : [])));
  for (const given of buildArgs.keys()) {
    if (all.has(given) || predefined.test(given)) continue;
    const expected = names.length > 0 ? `expected ${names.join(', ')}` : 'it takes none';
    throw new KilnError(
      'invalid_argument',
      `target ${name} takes no build argument ${given}${didYouMean(given, names)}; ${expected}`,
    );
  }
}

function targetsOf(exported: Readonly<Record<string, unknown>>, file: BuildFile): readonly ExportedTarget[] {
  const functions = Object.entries(exported).filter(
    (entry): entry is [string, TargetFunction<never>] => typeof entry[1] === 'function',
  );
  const standard = functions.find(([name]) => name === 'default')?.[1];
  const named = functions.filter(([name]) => name !== 'default');
  const hasName = named.some(([, build]) => build === standard);
  const shown = hasName || !standard ? named : [...named, ['default', standard] as const];
  return shown
    .map(([name, build]) => ({
      name,
      build,
      isDefault: standard ? build === standard : shown.length === 1,
      place: exportPlace(file, name),
    }))
    .sort((a, b) => a.place.line - b.place.line);
}

/** Where a name is exported; the start of the file if that is not seen. */
function exportPlace({ lines }: BuildFile, name: string): Position {
  for (const [index, line] of lines.entries()) {
    const [, before, found] =
      /^(\s*export\s+(?:default\b\s*)?(?:(?:async\s+)?function\b\s*\*?|const|let|var|class)?\s*)([\w$]*)/.exec(
        line.slice(0, 200),
      ) ?? [];
    if (before === undefined) continue;
    if (found === name || (name === 'default' && /\bdefault\b/.test(before))) {
      return { line: index + 1, character: name === 'default' ? line.indexOf('default') : before.length };
    }
  }
  return { line: 1, character: 0 };
}

/** The line below the target's in which the argument is declared. */
function lineOfArgument({ lines }: BuildFile, { line }: Position, name: string): number | undefined {
  const at = lines.findIndex((text, index) => index >= line - 1 && text.includes(`${name}:`));
  return at < 0 ? undefined : at + 1;
}

function locationAt(file: BuildFile, place: Position): SourceLocation {
  return { file: file.source, ranges: [{ start: place, end: place }] };
}

function failAt(file: BuildFile, place: Position, error: unknown): KilnError {
  return asKilnError(error).withDetail({
    kind: 'source',
    ...file.source,
    ranges: locationAt(file, place).ranges,
  });
}
