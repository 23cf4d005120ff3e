import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { project } from '../rig/project.ts';
import { WorkDirectory } from '../rig/work-directory.ts';
import { readExamples } from './read-examples.ts';

const entry = pathToFileURL(path.join(project.root, 'src/llb/llb.ts')).href;
const examples = readExamples(['src/llb/**/*.ts', 'docs/typescript.md']);

suite('what the documentation of kiln/llb says runs', () => {
  for (const { place, code } of examples) {
    test(place, async () => {
      using work = new WorkDirectory();
      const file = work.at('example.ts');
      writeFileSync(file, code.replaceAll("'kiln/llb'", `'${entry}'`));
      await import(pathToFileURL(file).href);
    });
  }
});

test('there are examples', () => {
  assert.ok(examples.length >= 14, `only ${examples.length}`);
});
