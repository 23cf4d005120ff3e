import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { project } from '../rig/project.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { readExamples } from './read-examples.ts';

const entries = {
  kiln: 'src/library/library.ts',
  'kiln/llb': 'src/llb/llb.ts',
  'kiln/frontend': 'src/frontend-kit/frontend-kit.ts',
};
const examples = readExamples([
  'src/llb/**/*.ts',
  'src/library/**/*.ts',
  'src/frontend-kit/**/*.ts',
  'docs/typescript.md',
]);

suite('what the documentation of the library says runs', () => {
  const { KILN_HOST } = process.env;
  const directory = process.cwd();
  const rig = suiteRig(async (resources) => {
    const { work, daemon } = await openDaemon(resources);
    // Examples use the daemon of the environment, and a context in the working directory.
    process.env.KILN_HOST = daemon.address;
    process.chdir(work.tree({ Dockerfile: 'FROM scratch\nCOPY . /\n', hello: 'world' }));
    resources.defer(() => {
      process.chdir(directory);
      if (KILN_HOST === undefined) delete process.env.KILN_HOST;
      else process.env.KILN_HOST = KILN_HOST;
    });
    return { work };
  });

  for (const { place, code } of examples) {
    test(place, async () => {
      const file = rig.work.at(`${path.basename(place)}.ts`);
      const resolved = Object.entries(entries).reduce(
        (text, [name, entry]) =>
          text.replaceAll(`'${name}'`, `'${pathToFileURL(path.join(project.root, entry)).href}'`),
        code,
      );
      writeFileSync(file, resolved);
      await import(pathToFileURL(file).href);
    });
  }
});

test('there are examples', () => {
  assert.ok(examples.length >= 20, `only ${examples.length}`);
});
