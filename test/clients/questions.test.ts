import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { daemonRig } from '../rig/suite-rig.ts';

describe('kiln build --call', () => {
  const rig = daemonRig();
  let context: string;
  before(() => {
    context = rig.work.tree({
      Dockerfile: 'ARG V=1\n# app is what runs\nFROM scratch AS app\nARG V\nCOPY file /\nCMD run it\n',
      'Clean.Dockerfile': 'FROM scratch\nCOPY file /\n',
      'Broken.Dockerfile': 'FROM scratch\nCOPPY file /\n',
      file: 'x',
    });
  });

  const ask = (...args: readonly string[]) =>
    rig.kiln.run(['build', '--progress', 'quiet', ...args, context]);

  test('--check prints the findings and fails; without findings it says so', async () => {
    const found = await ask('--check');
    assert.equal(found.code, 1);
    assert.match(
      found.stdout,
      /^Check complete, 1 warning has been found!\n\nWARNING: JSONArgsRecommended - /,
    );
    assert.match(found.stdout, / 6 \| >>> CMD run it/);
    assert.equal(found.stderr, '');

    const clean = await ask('--check', '-f', `${context}/Clean.Dockerfile`);
    assert.deepEqual([clean.code, clean.stdout], [0, 'Check complete, no warnings found.\n']);
    assert.equal((await ask('--call', 'check,ignorestatus=true')).code, 0);
  });

  test('--check shows why a file would not build', async () => {
    const { code, stdout } = await ask('--check', '-f', `${context}/Broken.Dockerfile`);
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^error: .*unknown instruction: COPPY \(did you mean COPY\?\)\nBroken\.Dockerfile:2\n/,
    );
  });

  test('outline and targets answer as text and as JSON', async () => {
    const outline = await ask('--call', 'outline');
    assert.equal(
      outline.stdout,
      'TARGET:      app\nDESCRIPTION: is what runs\n\nBUILD ARG   VALUE   DESCRIPTION\nV           1       \n\n',
    );
    const targets = await ask('--call', 'targets,format=json');
    assert.equal(JSON.parse(targets.stdout).targets[0].name, 'app');
    assert.equal(targets.code, 0);
  });

  test('a question that nobody knows, and a file that does not parse, fail with one message', async () => {
    const unknown = await ask('--call', 'sing');
    assert.equal(unknown.code, 1);
    assert.match(
      unknown.stderr,
      /^error: failed to solve: unsupported request frontend\.sing\nhint: .*frontend\.outline/,
    );
    const broken = await ask('--call', 'targets', '-f', `${context}/Broken.Dockerfile`);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /error: failed to solve: .*unknown instruction: COPPY/);
  });
});
