import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { pushFrontendImage, pushImage } from './push-frontend-image.ts';

describe('a frontend that is an image', () => {
  const rig = suiteRig(async (resources) => {
    const registry = resources.use(await startRegistry());
    const opened = await openDaemon(resources);
    const image = `${registry.host}/frontends/own:1`;
    await pushFrontendImage(opened.kiln, opened.work, image);
    return { ...opened, registry, image };
  });

  const asked = (task: string): readonly string[] => [
    ...['--frontend', 'gateway.v0', '--opt', `source=${rig.image}`, '--opt', `task=${task}`],
  ];

  test('builds what names it as its syntax, as the frontend that is built in does', async () => {
    const text =
      'FROM base AS made\nARG NAME\nRUN echo "$NAME" > /name\nFROM scratch\nCOPY --from=made /name /\nLABEL of=$NAME\n';
    const [named, plain] = [`# syntax=${rig.image}\n${text}`, text].map((Dockerfile) =>
      rig.work.tree({ Dockerfile }),
    );
    const digestOf = async (context: string) => {
      const file = rig.work.at(`${Math.random()}.json`);
      await rig.kiln.build(context, [
        ...['--build-arg', 'NAME=kiln', '--build-arg', 'SOURCE_DATE_EPOCH=1'],
        ...['--metadata-file', file, '-o', 'type=image,name=made:1'],
      ]);
      return (JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>)[
        'containerimage.config.digest'
      ];
    };
    const digest = await digestOf(named!);
    assert.equal(digest, await digestOf(plain!));
    assert.match(String(digest), /^sha256:/);
  });

  test('is told what a frontend of BuildKit is told', async () => {
    const context = rig.work.tree({ Dockerfile: '' });
    const told = JSON.parse(
      await rig.kiln.textOf('told.json', context, [...asked('tell'), '--opt', 'with=a=b\nc']),
    ) as {
      readonly options: Record<string, string>;
      readonly hasSession: boolean;
      readonly workers: readonly { readonly id: string; readonly platforms: readonly { os: string }[] }[];
      readonly environment: Record<string, string>;
      readonly interfaces: Record<string, unknown>;
      readonly files: number;
    };
    assert.equal(told.options.source, rig.image);
    assert.equal(told.options.with, 'a=b\nc');
    assert.ok(told.hasSession);
    assert.equal(told.workers[0]?.platforms[0]?.os, 'linux');
    assert.equal(told.environment.BUILDKIT_EXPORTEDPRODUCT, 'buildkit');
    assert.match(told.environment.PATH ?? '', /^\/usr\/local\/sbin:/);
    assert.deepEqual(Object.keys(told.interfaces), ['lo'], 'its image wants no network');
    assert.ok(told.files > 0, 'the definition of its own files');
  });

  test('is told the arguments of its line, and the syntax that a client names instead counts', async () => {
    const context = rig.work.tree({ Dockerfile: `# syntax=registry.invalid/other:1\nFROM scratch\n` });
    const told = await rig.kiln.textOf('told.json', context, [
      ...['--build-arg', `BUILDKIT_SYNTAX=${rig.image} more words`, '--opt', 'task=tell'],
    ]);
    const { options } = JSON.parse(told) as { readonly options: Record<string, string> };
    assert.equal(options.cmdline, `${rig.image} more words`);
    assert.equal(options.source, rig.image);
    assert.equal(options['build-arg:BUILDKIT_SYNTAX'], `${rig.image} more words`);
  });

  test('reads trees, warns, and has its log in the progress', async () => {
    const context = rig.work.tree({ Dockerfile: '', 'a.txt': 'hello\n' });
    const tar = rig.work.at('seen.tar');
    const { stderr } = await rig.kiln.build(context, [...asked('look'), '-o', `type=tar,dest=${tar}`]);
    assert.match(
      readFileSync(tar, 'utf8'),
      /\{"names":\["Dockerfile","a.txt"\],"part":"el","size":6,"code":"not_found"\}/,
    );
    assert.match(stderr, /\[frontend\] \S+\/own:1@sha256:[0-9a-f]{64}/);
    assert.match(stderr, /looked at everything/);
    assert.match(stderr, /a\.txt could be shorter/);
  });

  test('calls another frontend, and gives what comes of it', async () => {
    const context = rig.work.tree({ Dockerfile: 'FROM scratch\nCOPY a.txt /b.txt\n', 'a.txt': 'copied\n' });
    const text = await rig.kiln.textOf('b.txt', context, [
      ...asked('ask'),
      '--opt',
      'asked-frontend=dockerfile.v0',
    ]);
    assert.equal(text, 'copied\n');
  });

  test('fails with what its own requests fail with', async () => {
    const context = rig.work.tree({ Dockerfile: '' });
    const { stderr } = await rig.kiln.failingBuild(context, asked('missing'));
    assert.match(stderr, /registry\.invalid\/none:1/);
    assert.doesNotMatch(stderr, /did not complete/);
  });

  test('fails with what it throws, and nothing about its process', async () => {
    const { stderr } = await rig.kiln.failingBuild(rig.work.tree({ Dockerfile: '' }), asked('throw'));
    assert.match(stderr, /error: failed to solve: nothing can be made of this\n/);
  });

  test('shows the lines of a Dockerfile that is wrong', async () => {
    const context = rig.work.tree({ Dockerfile: `# syntax=${rig.image}\nFROM base\nRUM true\n` });
    const { stderr } = await rig.kiln.failingBuild(context);
    assert.match(stderr, /unknown instruction: RUM/);
    assert.match(stderr, /3 \| >>> RUM true/);
  });

  test('cannot call itself without end, nor send messages without end', async () => {
    const context = rig.work.tree({ Dockerfile: '' });
    const { stderr } = await rig.kiln.failingBuild(context, asked('flood'));
    assert.match(stderr, /message size \d+ is larger than/);
    const again = await rig.kiln.failingBuild(context, asked('recurse'));
    assert.match(again.stderr, /frontend gateway\.v0 is called by 8 others that call each other/);
  });

  test('is a material of what it made', async () => {
    const context = rig.work.tree({
      Dockerfile: `# syntax=${rig.image}\nFROM scratch\nCOPY a.txt /\n`,
      'a.txt': 'a',
    });
    const output = rig.work.at('attested');
    await rig.kiln.build(context, ['--provenance', 'true', '-o', `type=local,dest=${output}`]);
    const provenance = readFileSync(`${output}/provenance.json`, 'utf8');
    assert.match(provenance, /pkg:docker\/[^"]*frontends\/own@1/);
  });

  test("runs although it has the name of Docker's, if the daemon or the request wants that", async () => {
    await pushImage(
      rig.kiln,
      rig.work.tree({ Dockerfile: `FROM ${rig.image}\n` }),
      `${rig.registry.host}/docker/dockerfile:1`,
    );
    const toml = `[registry."docker.io"]\nmirrors = ["${rig.registry.host}"]\n`;
    const config = ['--config', `${rig.work.tree({ 'buildkitd.toml': toml })}/buildkitd.toml`];
    const context = rig.work.tree({
      Dockerfile: '# syntax=docker/dockerfile:1\nFROM scratch\nCOPY a.txt /\n',
      'a.txt': 'a',
    });
    for (const [flags, builtIn, other] of [
      [[], 'a.txt', 'false'],
      [['--no-builtin-syntax'], 'told.json', 'true'],
    ] as const) {
      await using daemon = await Daemon.start({ args: [...config, ...flags] });
      const filesWith = async (options: readonly string[]) => {
        const output = rig.work.at(`built${Math.random()}`);
        await daemon.kiln.build(context, [
          '--opt',
          'task=tell',
          ...options,
          '-o',
          `type=local,dest=${output}`,
        ]);
        return readdirSync(output);
      };
      assert.deepEqual(await filesWith([]), [builtIn]);
      const otherwise = builtIn === 'a.txt' ? 'told.json' : 'a.txt';
      assert.deepEqual(await filesWith(['--opt', `builtin-syntax=${other}`]), [otherwise]);
    }
  });

  test('is run only from where the configuration lets it come from, or not at all', async () => {
    const context = rig.work.tree({ Dockerfile: `# syntax=${rig.image}\nFROM scratch\n` });
    const refusal = async (toml: string) => {
      const config = `${rig.work.tree({ 'buildkitd.toml': toml })}/buildkitd.toml`;
      await using daemon = await Daemon.start({ args: ['--config', config] });
      return (await daemon.kiln.failingBuild(context)).stderr;
    };
    const allowed = await refusal(
      '[frontend."gateway.v0"]\nallowedRepositories = ["example.com/frontends/own"]\n',
    );
    assert.match(allowed, /'127\.0\.0\.1:\d+\/frontends\/own:1' is not an allowed gateway source/);
    assert.match(
      await refusal('[frontend."gateway.v0"]\nenabled = false\n'),
      /invalid frontend: gateway\.v0/,
    );
  });
});
