import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { WorkDirectory } from './work-directory.ts';

/** Writes a source policy of these rules, and returns the arguments that have `kiln build` follow it. */
export function policyArguments(work: WorkDirectory, ...rules: readonly object[]): readonly string[] {
  const file = path.join(work.tree({}), 'policy.json');
  writeFileSync(file, JSON.stringify({ version: 1, rules }));
  return ['--source-policy-file', file];
}
