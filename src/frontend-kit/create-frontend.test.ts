import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KilnError } from '../base/errors.ts';
import { outline, runFrontend as run } from '../frontend/dockerfile/bridge-rig.ts';
import { files, scratch, toDefinition } from '../llb/llb.ts';
import { containerImage, directory } from './build-result.ts';
import { createFrontend } from './create-frontend.ts';

const base = {
  architecture: 'amd64',
  os: 'linux',
  config: { Env: ['PATH=/p', 'A=1'], WorkingDir: '/w', User: 'u', Cmd: ['old'], Labels: { from: 'base' } },
  rootfs: { type: 'layers', diff_ids: [`sha256:${'a'.repeat(64)}`] },
  history: [{ created_by: 'base' }],
};

describe('a frontend that is a function', () => {
  test('gives an image that runs as its state says, with what it is based on', async () => {
    const { config, graphs, metadata } = await run({
      dockerfile: 'print hello\n',
      images: { 'docker.io/library/a:1': base },
      options: { 'label:by': 'me', 'build-arg:SOURCE_DATE_EPOCH': '1' },
      frontend: createFrontend(async (build) => {
        const file = await build.file();
        const from = await build.image('a:1');
        const step = from.state.run(['echo', file.lines[0]!], { name: 'print', locations: [file.at(1)] });
        return containerImage(step.root.env('B', '2').dir('x'), {
          base: from,
          entrypoint: ['/it'],
          labels: { own: 'yes' },
          exposedPorts: ['80/tcp'],
          history: [{ createdBy: 'print' }],
        });
      }),
    });
    assert.deepEqual(config.config, {
      User: 'u',
      ExposedPorts: { '80/tcp': {} },
      Env: ['PATH=/p', 'A=1', 'B=2'],
      Entrypoint: ['/it'],
      WorkingDir: '/w/x',
      Labels: { by: 'me', from: 'base', own: 'yes' },
    });
    assert.deepEqual(config.history, [
      { created_by: 'base' },
      { created: '1970-01-01T00:00:01Z', created_by: 'print' },
    ]);
    assert.equal(JSON.parse(Buffer.from(metadata.get('containerimage.base.config')!).toString()).os, 'linux');
    const graph = graphs.get('')!;
    assert.match(outline(graph).join(), /^FROM docker\.io\/library\/a:1@sha256:[0-9a-f]+,print$/);
    assert.equal(Buffer.from(graph.source!.files[0]!.data).toString(), 'print hello\n');
  });

  test('is called for each platform', async () => {
    const { refs, metadata } = await run({
      dockerfile: '',
      options: { platform: 'linux/amd64,linux/arm64' },
      frontend: createFrontend((build) =>
        scratch().file(files().mkfile('/arch', 0o644, build.platform.architecture)),
      ),
    });
    assert.deepEqual([...refs.keys()], ['linux/amd64', 'linux/arm64']);
    const config = metadata.get('containerimage.config/linux/arm64');
    assert.equal(JSON.parse(Buffer.from(config!).toString()).architecture, 'arm64');
  });

  test('gives files that are no image', async () => {
    const { metadata } = await run({
      dockerfile: '',
      frontend: createFrontend(async (build) => directory(await build.context(['src']))),
    });
    assert.deepEqual([...metadata.keys()], ['refs.platforms']);
  });

  test('reads files of trees, and of definitions that the client sent along', async () => {
    const seen: unknown[] = [];
    await run({
      dockerfile: '',
      files: { context: { 'a.txt': 'text' } },
      inputs: new Map([['tree', toDefinition(scratch().file(files().mkdir('/d', 0o755)))]]),
      frontend: createFrontend(async (build) => {
        const tree = await build.solve(await build.context());
        seen.push(await tree.readText('a.txt'), await tree.readText('none'));
        seen.push(await build.namedContext('nothing'));
        return (await build.namedContext('tree'))!;
      }),
    });
    assert.deepEqual(seen, ['text', undefined, undefined]);
  });

  test('asks another frontend, and warns', async () => {
    const { solved, warnings } = await run({
      dockerfile: 'x\n',
      frontend: createFrontend(async (build) => {
        const file = await build.file();
        build.warn('old', { at: file.at(1), url: 'https://example.com' });
        return await build.call('dockerfile.v0', { options: { filename: 'other' } });
      }),
    });
    assert.equal(solved.at(-1)?.options?.filename, 'other');
    assert.deepEqual(warnings[0]?.ranges, [
      { start: { line: 1, character: 0 }, end: { line: 1, character: 0 } },
    ]);
  });

  test('answers questions that it has answers for', async () => {
    const frontend = createFrontend({
      build: () => scratch(),
      targets: () => [{ name: 'all', isDefault: true, description: 'everything', line: 1 }, { name: 'some' }],
      outline: () => ({ name: 'all', args: [{ name: 'VERSION', value: '1', line: 2 }] }),
    });
    const ask = async (name: string) => {
      const { metadata } = await run({ dockerfile: 'x', options: { requestid: name }, frontend });
      return Buffer.from(metadata.get('result.txt')!).toString();
    };
    assert.equal(
      await ask('frontend.targets'),
      'TARGET        DESCRIPTION\nall (default) everything\nsome          \n',
    );
    assert.match(await ask('frontend.outline'), /TARGET: all\n\nBUILD ARG {3}VALUE/);
    assert.match(await ask('frontend.subrequests.describe'), /outline.*\ntargets/);
    await assert.rejects(ask('frontend.lint'), { code: 'unimplemented' });
  });

  test('says what is wrong with its result, and where its file is wrong', async () => {
    const fail = (build: Parameters<typeof createFrontend>[0]) =>
      run({ dockerfile: 'one\ntwo\n', frontend: createFrontend(build) });
    await assert.rejects(
      fail(() => 7 as never),
      { message: /the frontend returned a number; expected a state/ },
    );
    await assert.rejects(
      fail(() => scratch().run(['x']) as never),
      { message: /returned a value of class ExecState/, hint: /\.root/ },
    );
    await assert.rejects(
      fail(() => containerImage(undefined as never)),
      { message: /containerImage\(\) was given undefined, and expects a state/ },
    );
    await assert.rejects(
      fail(async (build) => {
        throw (await build.file()).error(2, 'no such word');
      }),
      (error) => {
        assert.ok(error instanceof KilnError);
        const [detail] = error.details;
        assert.equal(detail?.kind === 'source' && detail.ranges[0]?.start.line, 2);
        return true;
      },
    );
  });
});
