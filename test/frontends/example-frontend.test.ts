import assert from 'node:assert/strict';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { bundle } from '../../scripts/package/bundle.ts';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { copyHostProgram } from '../rig/host-program.ts';
import { project } from '../rig/project.ts';
import { mustRun, runProgram } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';

/** The commands of the tutorial, in order. */
const tutorial = readFileSync(path.join(project.root, 'docs/writing-a-frontend.md'), 'utf8');
const commands = [...tutorial.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) =>
  block!.trim().split('\n'),
);

suite('the frontend of the tutorial', () => {
  const rig = suiteRig(async (resources) => {
    const registry = resources.use(await startRegistry());
    const opened = await openDaemon(resources);
    const { work, daemon } = opened;
    const checkout = work.tree({});
    // The image of Node is this machine's.
    const node = path.join(checkout, 'node-image');
    await copyHostProgram(process.execPath, node);
    mkdirSync(path.join(node, 'usr/local/bin'), { recursive: true });
    renameSync(path.join(node, process.execPath), path.join(node, 'usr/local/bin/node'));
    for (const part of ['package.json', 'examples/frontend']) {
      cpSync(path.join(project.root, part), path.join(checkout, part), { recursive: true });
    }
    await bundle(project.root, path.join(checkout, 'dist/js'));
    const recipe = path.join(checkout, 'examples/frontend/notes/Recipe');
    const atRegistry = (text: string) => text.replaceAll('localhost:5000', registry.host);
    writeFileSync(recipe, atRegistry(readFileSync(recipe, 'utf8')));
    // Base images come from this machine, too.
    const contexts = `--build-context node:24-alpine=${node} --build-context busybox=oci-layout://${baseLayout().directory}:latest`;
    mkdirSync(path.join(checkout, 'bin'));
    const kiln = path.join(checkout, 'bin/kiln');
    writeFileSync(
      kiln,
      `#!/bin/sh\nshift\nexec ${project.kiln} --addr ${daemon.address} build --progress plain ${contexts} "$@"\n`,
    );
    chmodSync(kiln, 0o755);
    const shell = (command: string) =>
      runProgram('/bin/sh', ['-c', command], {
        cwd: checkout,
        env: { ...process.env, PATH: `${checkout}/bin:${process.env.PATH}` },
      });
    return { ...opened, checkout, atRegistry, shell };
  });

  const follow = async (command: string) => {
    const result = await rig.shell(rig.atRegistry(command));
    assert.equal(result.code, 0, `${command}\n${result.stderr}`);
    return result;
  };

  test('is an image, and builds what names it, as the tutorial says', async () => {
    const outputs: string[] = [];
    for (const command of commands) outputs.push((await follow(command)).stdout);
    assert.equal(commands.length, 6);
    assert.ok(existsSync(path.join(rig.checkout, 'report.tar')));
    const report = await mustRun('tar', ['-xOf', path.join(rig.checkout, 'report.tar'), 'report.txt']);
    assert.match(report.stdout, /1 \/notes\/pasta\.txt\n.*2 \/notes\/tea\.txt\n/);
    const [targets, outline] = outputs.slice(-2);
    assert.equal(
      targets,
      'TARGET        DESCRIPTION\nreport        counts the lines of all notes\napp (default) prints the notes\n',
    );
    assert.match(outline!, /TARGET: +app\n.*\n\nBUILD ARG +VALUE +DESCRIPTION\nNAME +world/);
    const { stdout } = await rig.kiln.must(['run', 'notes:ann']);
    assert.match(stdout, /^hello, Ann\n[\s\S]*3 total\nmade for Ann\n$/);
  });

  /** What a build of a recipe says that is wrong. */
  const failureOf = async (text: string): Promise<string> => {
    const context = rig.work.tree({ Recipe: rig.atRegistry(`# syntax=localhost:5000/recipe:1\n${text}`) });
    const { code, stderr } = await rig.shell(`kiln build -f ${context}/Recipe ${context}`);
    assert.notEqual(code, 0);
    return stderr;
  };

  test('shows the line that is wrong, whether it is written wrong or its step fails', async () => {
    const unknown = await failureOf('dish app\n  from busybox\n  burn the toast\n');
    assert.match(unknown, /Recipe:4\n[\s\S]*4 \| >>> +burn the toast/);
    assert.match(unknown, /error: failed to solve: nobody knows how to burn/);
    const failing = await failureOf('dish app\n  from busybox\n  do exit 7\n');
    assert.match(failing, /4 \| >>> +do exit 7/);
    assert.match(failing, /exit code: 7/);
    const missing = await failureOf('dish app\n  from registry.invalid/none\n');
    assert.match(missing, /3 \| >>> +from registry\.invalid\/none/);
    const circle = await failureOf('dish a\n  from b\ndish b\n  from a\n');
    assert.match(circle, /3 \| >>> +from b/);
    assert.match(circle, /there is no dish b before this one/);
  });
});
