import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { InputList, opVertex } from '../../src/llb/builder/vertex.ts';
import { type CacheSharing, diff, files, merge, State, scratch } from '../../src/llb/llb.ts';
import { LlbEngine } from '../rig/llb-engine.ts';
import { openArchive } from '../rig/oci-archive.ts';
import { mustRun } from '../rig/run-program.ts';
import { suiteRig } from '../rig/suite-rig.ts';

describe('LLB', () => {
  const rig = suiteRig(async (resources) => ({ engine: resources.use(await LlbEngine.open()) }));

  const shell = (script: string) => ['sh', '-e', '-c', script];
  const textOf = (directory: string, name: string) => readFileSync(path.join(directory, name), 'utf8');

  test('mounts at relative paths are below the working directory', async () => {
    const step = rig.engine.base
      .dir('/work')
      .run(shell('echo here > /work/out/said'), { mounts: [{ dest: 'out', from: scratch() }] });
    assert.equal(textOf(await rig.engine.build(step.mount('out')), 'said'), 'here\n');
  });

  describe('a cache mount', () => {
    const cache = (dest: string, sharing: CacheSharing, from?: State) => ({
      dest,
      from,
      type: { kind: 'cache', id: 'test', sharing } as const,
    });

    test('that a process has twice shows the same files in both places', async () => {
      const step = rig.engine.base.run(
        shell('test ! -e /two/file; touch /one/file; test -e /two/file; echo both > /said'),
        { mounts: [cache('/one', 'locked'), cache('/two', 'locked')] },
      );
      assert.equal(textOf(await rig.engine.build(step.root), 'said'), 'both\n');
    });

    test('that starts as a tree is one for all that share it at the same time', async () => {
      const waiter = (own: string, other: string) =>
        rig.engine.base.run(
          shell(
            `touch ${own}; for i in $(seq 200); do test -e ${other} && break; ls > /dev/null; sleep 0.1; done; test -e ${other}`,
          ),
          { mounts: [cache('/shared', 'shared', rig.engine.base)] },
        ).root;
      const both = merge([waiter('/shared/left', '/shared/right'), waiter('/shared/right', '/shared/left')]);
      await rig.engine.solve(both);
    });

    test('is emptied by a step that ignores the cache, for the others as well', async () => {
      const run = (script: string, ignoreCache: boolean) =>
        rig.engine.build(
          rig.engine.base.run(shell(script), { ignoreCache, mounts: [cache('/kept', 'shared')] }).root,
        );
      await run('touch /kept/old', false);
      await run('test -e /kept/old', false);
      await run('test ! -e /kept/old; touch /kept/new', true);
      await run('test ! -e /kept/old; test -e /kept/new', false);
    });
  });

  describe('a merge', () => {
    const file = (name: string, tree: State = scratch()) => tree.file(files().mkfile(name, 0o644, name));
    /** The names in each layer of an image, bottom first. */
    const layersOf = async (state: State): Promise<readonly (readonly string[])[]> => {
      const archive = rig.engine.work.at('merged.tar');
      const destination = { kind: 'path', path: archive } as const;
      await rig.engine.solve(state, {
        outputs: [{ kind: 'file', exporter: 'oci', attributes: {}, destination }],
      });
      const { directory, manifest } = await openArchive(archive, rig.engine.work);
      return await Promise.all(
        manifest.layers.map(async ({ digest }) => {
          const blob = path.join(directory, 'blobs', ...digest.split(':'));
          return (await mustRun('tar', ['-tzf', blob])).stdout.trim().split('\n');
        }),
      );
    };

    test('keeps what a difference deletes, in its files and in its images', async () => {
      const [one, other] = [file('/one'), file('/other')];
      const state = merge([one, diff(one, other), diff(other, one)]);
      assert.deepEqual(readdirSync(await rig.engine.build(state)), ['one']);
      assert.deepEqual(await layersOf(state), [['one'], ['.wh.one', 'other'], ['one', '.wh.other']]);
    });

    test('has a tree in every place that it was given, which differences on it count on', async () => {
      const [one, other] = [file('/one'), file('/other')];
      const again = merge([file('/more', merge([one, other])), one.file(files().rm('/one'))]);
      assert.deepEqual(await layersOf(again), [['one'], ['other'], ['more'], ['one'], ['.wh.one']]);
      const without = merge([file('/more', one), diff(merge([one, other]), again.file(files().rm('/more')))]);
      assert.deepEqual(readdirSync(await rig.engine.build(without)), []);
    });
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
      const directory = await rig.engine.build(State.of(passthrough([one, other], [1])));
      assert.deepEqual(readdirSync(directory), ['other']);

      const failing = rig.engine.base.run(shell('exit 42')).root;
      await assert.rejects(rig.engine.build(State.of(passthrough([one, failing], [0]))), /exit code: 42/);
    });
  });
});
