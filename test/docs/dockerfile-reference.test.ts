import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { readCaseFiles } from '../conformance/case-files.ts';
import { project } from '../rig/project.ts';

const page = readFileSync(path.join(project.root, 'docs/dockerfile-reference.md'), 'utf8');

/** A row of a table: a feature, and what shows it. */
const rows = page
  .split('\n')
  .filter((line) => /^\| (?!feature |---)/.test(line))
  .map((line) => {
    const shown = line.slice(line.lastIndexOf(' | ') + 3).replace(/ *\|$/, '');
    return { line, tests: shown.split('<br>').map((each) => each.trim()) };
  });

const cases = new Set(
  readCaseFiles().flatMap(({ topic, cases: own }) => own.map(({ name }) => `${topic}: ${name}`)),
);

test('every test that the table of the Dockerfile reference names exists', () => {
  assert.ok(rows.length > 80, `the table has ${rows.length} rows`);
  for (const { line, tests } of rows) {
    for (const reference of tests) {
      const name = /^`([^`]+)`$/.exec(reference)?.[1];
      assert.ok(name !== undefined, `${JSON.stringify(reference)} is not the name of a test: ${line}`);
      const [file = '', title] = name.split(/: (.*)/s);
      assert.ok(title, `${name} names no test`);
      if (!file.includes('/')) assert.ok(cases.has(name), `there is no case ${name}`);
      else assert.ok(hasTest(file, title), `${file} has no test ${JSON.stringify(title)}`);
    }
  }
});

/** Titles are strings in the file's text. */
function hasTest(file: string, title: string): boolean {
  const full = path.join(project.root, file);
  if (!existsSync(full)) return false;
  const text = readFileSync(full, 'utf8');
  return text.includes(`'${title}'`) || text.includes(`"${title}"`) || text.includes(`${title}\``);
}
