import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ConformanceCase } from './conformance-case.ts';
import type { Outcome } from './outcome.ts';
import { parseCaseFile } from './parse-case-file.ts';

/** A file of cases, and where its recorded outcomes are. */
export interface CaseFile {
  /** What its cases are about. */
  readonly topic: string;
  readonly cases: readonly ConformanceCase[];
  readonly expectedPath: string;
}

export function readCaseFiles(): CaseFile[] {
  return globSync('*.cases', { cwd: path.join(import.meta.dirname, 'cases') })
    .sort()
    .map((name) => {
      const topic = path.basename(name, '.cases');
      const text = readFileSync(path.join(import.meta.dirname, 'cases', name), 'utf8');
      return {
        topic,
        cases: parseCaseFile(text, name),
        expectedPath: path.join(import.meta.dirname, 'expected', `${topic}.json`),
      };
    });
}

export type Outcomes = Readonly<Record<string, Outcome>>;

/** None when nothing has been recorded yet. */
export function readOutcomes(file: string): Outcomes {
  const text = globSync(file).length > 0 ? readFileSync(file, 'utf8') : '{}';
  return JSON.parse(text) as Outcomes;
}
