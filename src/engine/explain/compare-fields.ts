import type { Changed } from './cause.ts';
import { type FieldKind, fieldKinds, type StepField } from './step-fields.ts';

/** The first field that differs, those that say most before others. */
export function compareFields(
  before: readonly StepField[],
  after: readonly StepField[],
): Changed<FieldKind> | undefined {
  for (const kind of fieldKinds) {
    const old = valuesOf(before, kind);
    const now = valuesOf(after, kind);
    if (kind === 'image') {
      const [[oldName, oldValue] = [], [name, value] = []] = [[...old][0], [...now][0]];
      if (name === undefined || oldName === undefined) continue;
      if (name !== oldName) return { kind, name: oldName, before: oldName, after: name };
      if (value !== oldValue) return { kind, name, before: oldValue, after: value };
      continue;
    }
    for (const [name, value] of now)
      if (old.get(name) !== value) return { kind, name, before: old.get(name), after: value };
    for (const [name, value] of old) if (!now.has(name)) return { kind, name, before: value };
  }
  return undefined;
}

function valuesOf(fields: readonly StepField[], wanted: FieldKind): ReadonlyMap<string, string> {
  return new Map(fields.flatMap(({ kind, name, value }) => (kind === wanted ? [[name, value]] : [])));
}
