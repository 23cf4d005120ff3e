import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { project } from '../rig/project.ts';
import { mustRun } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { plainProgram, typedProgram } from './package-project.ts';
import { readExamples } from './read-examples.ts';

const modules = path.join(project.root, 'node_modules');
/** The oldest one that runs the package. */
const oldNode = path.join(project.root, `test-servers/node_modules/node-linux-${process.arch}/bin/node`);

suite('the package in an empty project', () => {
  const rig = suiteRig(async (resources) => {
    const opened = await openDaemon(resources);
    const { work } = opened;
    const packed = await mustRun('npm', ['pack', '--silent', '--pack-destination', work.path], {
      cwd: project.root,
    });
    const archive = packed.stdout.trim().split('\n').at(-1)!;
    const own = work.tree({
      'package.json': JSON.stringify({
        private: true,
        type: 'module',
        // What the package depends on comes from the checkout, and no registry is asked.
        dependencies: { kiln: `file:${work.at(archive)}`, koffi: `file:${path.join(modules, 'koffi')}` },
      }),
      'plain.js': plainProgram,
      'typed.ts': typedProgram,
    });
    const install = ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'];
    await mustRun('npm', install, { cwd: own });
    return { ...opened, archive: work.at(archive), own };
  });

  test('has its bundles, its types and nothing else', async () => {
    const { stdout } = await mustRun('tar', ['-tzf', rig.archive]);
    const files = stdout.trim().split('\n');
    const others = files.filter(
      (name) => !/^package\/dist\/(?:js\/[\w.-]+\.js|types\/.*\.d\.ts)$/.test(name),
    );
    assert.deepEqual(others.sort(), [
      'package/LICENSE',
      'package/README.md',
      'package/dist/NOTICE.md',
      'package/package.json',
    ]);
    const { name } = path.parse(modules);
    assert.ok(!existsSync(path.join(rig.own, name, 'kiln', name)), 'it brings packages');
  });

  for (const [name, node] of [
    ['the oldest Node', oldNode],
    ['the Node of this checkout', process.execPath],
  ] as const) {
    test(`is used from JavaScript by ${name}`, async (t) => {
      const context = rig.work.tree({ hello: 'from a file' });
      const { stdout } = await mustRun(node, ['plain.js', context, rig.work.tree({})], {
        cwd: rig.own,
        env: { ...process.env, KILN_HOST: rig.daemon.address },
      });
      const { node: version, times, ...found } = JSON.parse(stdout);
      t.diagnostic(`Node ${version} loads the entries in ${JSON.stringify(times)} ms`);
      assert.deepEqual(found, {
        // Nothing native is loaded before there are files to be sent.
        native: [],
        hello: 'from a file',
        upper: 'FROM A FILE',
        steps: true,
        failure: true,
        source: 'plain.js',
        refusal: 'invalid_argument',
        oneError: true,
      });
    });

    test(`is used from TypeScript by ${name}`, async () => {
      const { stderr } = await mustRun(node, ['typed.ts'], {
        cwd: rig.own,
        env: { ...process.env, KILN_HOST: rig.daemon.address, NODE_NO_WARNINGS: '1' },
      });
      assert.equal(stderr, '');
    });
  }

  test('has types that a strict project takes, and all examples fit to', async () => {
    const examples = readExamples([
      'src/llb/**/*.ts',
      'src/library/**/*.ts',
      'src/frontend-kit/**/*.ts',
      'docs/typescript.md',
    ]);
    for (const [at, { place, code }] of examples.entries()) {
      writeFileSync(path.join(rig.own, `example-${at}.ts`), `// ${place}\n${code}`);
    }
    const compilerOptions = {
      strict: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      module: 'nodenext',
      target: 'esnext',
      types: ['node'],
      typeRoots: [path.join(modules, '@types')],
    };
    writeFileSync(path.join(rig.own, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    await mustRun(path.join(modules, '.bin/tsc'), ['-p', '.'], { cwd: rig.own });
  });
});
