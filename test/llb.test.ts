import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { files, State, scratch } from '../src/llb/llb.ts';
import { InputList, opVertex } from '../src/llb/vertex.ts';
import { LlbEngine } from './rig/llb-engine.ts';

describe('LLB', () => {
  let engine: LlbEngine;
  before(async () => {
    engine = await LlbEngine.open();
  });
  after(() => engine[Symbol.asyncDispose]());

  const shell = (script: string) => ['sh', '-e', '-c', script];
  const textOf = (directory: string, name: string) => readFileSync(path.join(directory, name), 'utf8');

  test('mounts at relative paths are below the working directory', async () => {
    const step = engine.base
      .dir('/work')
      .run(shell('echo here > /work/out/said'), { mounts: [{ dest: 'out', from: scratch() }] });
    assert.equal(textOf(await engine.build(step.mount('out')), 'said'), 'here\n');
  });

  describe('a passthrough', () => {
    const passthrough = (inputs: readonly State[], outputs: readonly number[]) =>
      opVertex(
        inputs.map(({ output }) => output),
        {},
        [],
        (names) => {
          const list = new InputList(names);
          const indices = inputs.map(({ output }) => list.add(output));
          return {
            inputs: list.list,
            action: { kind: 'passthrough', id: 'test', outputs: outputs.map((at) => indices[at]!) },
          };
        },
      );

    test('gives the inputs that it names, and needs the others as well', async () => {
      const one = scratch().file(files().mkfile('/one', 0o644, 'one'));
      const other = scratch().file(files().mkfile('/other', 0o644, 'other'));
      const directory = await engine.build(State.of(passthrough([one, other], [1])));
      assert.deepEqual(readdirSync(directory), ['other']);

      const failing = engine.base.run(shell('exit 42')).root;
      await assert.rejects(engine.build(State.of(passthrough([one, failing], [0]))), /exit code: 42/);
    });
  });
});
