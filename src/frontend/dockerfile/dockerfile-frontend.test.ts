// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import assert from 'node:assert/strict';
import test from 'node:test';
import { KilnError } from '../../base/errors.ts';
import { files, local, type OpAction, scratch, toDefinition } from '../../llb/llb.ts';
import { outline, type RigOptions, type RigResult, runFrontend } from './bridge-rig.ts';

const busybox = {
  os: 'linux',
  architecture: 'amd64',
  config: { Env: ['PATH=/bin'], Cmd: ['sh'], Entrypoint: ['/init'], WorkingDir: '/home' },
  rootfs: { diff_ids: [`sha256:${'1'.repeat(64)}`] },
  history: [{ created_by: 'base' }],
};
const images = { 'docker.io/library/busybox:latest': busybox };

const run = (dockerfile: string | Uint8Array, rig: Partial<RigOptions> = {}) =>
  runFrontend({ dockerfile, images, ...rig });
const graphOf = (result: RigResult) => [...result.graphs.values()][0]!;
const actions = <Kind extends OpAction['kind']>(result: RigResult, kind: Kind) =>
  [...graphOf(result).vertices.values()]
    .map(({ op }) => op.action)
    .filter((action): action is Extract<OpAction, { kind: Kind }> => action.kind === kind);
const warnings = (result: RigResult) => result.warnings.map(({ short }) => short.split(':')[0]);

async function refused(work: Promise<unknown>, message: RegExp, line?: number): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof KilnError);
    assert.match(error.message, message);
    if (line !== undefined) {
      const detail = error.details.find(({ kind }) => kind === 'source');
      assert.ok(detail?.kind === 'source');
      assert.equal(detail.ranges[0]!.start.line, line);
    }
    return true;
  });
}

test('steps are numbered per stage, and stages that nobody needs are left out', async () => {
  const result = await run(
    'FROM busybox AS a\nRUN x\nFROM busybox AS unused\nRUN y\nFROM scratch\nCOPY --from=a /x /x\nWORKDIR /w',
  );
  assert.deepEqual(
    outline(graphOf(result)).map((name) => name.replace(/@.*/, '')),
    [
      '[a 1/2] FROM docker.io/library/busybox:latest',
      '[a 2/2] RUN x',
      '[stage-2 1/2] COPY --from=a /x /x',
      '[stage-2 2/2] WORKDIR /w',
    ],
  );
});

test('a lone stage has no name in its steps', async () => {
  const result = await run('FROM scratch\nCOPY a /');
  assert.deepEqual(outline(graphOf(result)), ['[internal] load build context', '[1/1] COPY a /']);
});

test('an image that several stages start from is resolved once', async () => {
  const result = await run(
    'FROM busybox AS a\nFROM busybox AS b\nCOPY --from=a / /\nCOPY --from=busybox / /x',
  );
  assert.deepEqual(
    result.resolved.map(({ ref }) => ref),
    ['docker.io/library/busybox:latest'],
  );
});

test('only the paths that needed stages use are transferred, without what is ignored', async () => {
  const result = await run(
    'FROM scratch AS unused\nCOPY z /\nFROM scratch AS a\nCOPY src/a /x\nFROM scratch\nCOPY --from=a / /\nADD b c /y/',
    { files: { context: { '.dockerignore': 'b.tmp\n' } } },
  );
  const [context] = actions(result, 'source');
  assert.deepEqual(context, {
    kind: 'source',
    identifier: 'local://context',
    attrs: {
      'local.session': 's1',
      'local.excludepatterns': '["b.tmp"]',
      'local.followpaths': '["b","c","src/a"]',
      'local.sharedkeyhint': 'context',
    },
  });
});

test("a Dockerfile's own ignore file goes before the context's", async () => {
  const result = await run('FROM scratch\nCOPY . /', {
    files: { context: { '.dockerignore': 'no' }, dockerfile: { 'Dockerfile.dockerignore': 'yes' } },
  });
  assert.equal(actions(result, 'source')[0]!.attrs['local.excludepatterns'], '["yes"]');
});

test('CMD of the base image goes with its ENTRYPOINT, one of the stage itself stays', async () => {
  const reset = await run('FROM busybox\nENTRYPOINT ["x"]');
  assert.deepEqual([reset.config.config.Entrypoint, reset.config.config.Cmd], [['x'], undefined]);
  const kept = await run('FROM busybox\nCMD ["y"]\nENTRYPOINT ["x"]');
  assert.deepEqual([kept.config.config.Entrypoint, kept.config.config.Cmd], [['x'], ['y']]);
});

test('the history shows arguments that a RUN could see, and SOURCE_DATE_EPOCH as its time', async () => {
  const result = await run('FROM busybox\nARG A=1\nARG B\nRUN echo $A', {
    options: { 'build-arg:B': 'two', 'build-arg:SOURCE_DATE_EPOCH': '1700000000' },
  });
  assert.deepEqual(result.history.at(-1), {
    created: '2023-11-14T22:13:20Z',
    created_by: 'RUN |2 A=1 B=two /bin/sh -c echo $A # buildkit',
    comment: 'buildkit.dockerfile.v0',
  });
  assert.equal(Buffer.from(result.metadata.get('source.date.epoch')!).toString(), '1700000000');
});

test('the config of an input is that of a base image, whose history keeps its times', async () => {
  const config = JSON.stringify({
    os: 'linux',
    architecture: 'amd64',
    history: [{ created: '2020-01-01T00:00:00Z' }],
  });
  const metadata = { 'containerimage.config': Buffer.from(config).toString('base64') };
  const result = await run('FROM given\nLABEL a=b', {
    options: { 'context:given': 'input:given', 'input-metadata:given': JSON.stringify(metadata) },
    inputs: new Map([['given', toDefinition(local('in', { sessionId: 's' }))]]),
  });
  assert.equal(Buffer.from(result.metadata.get('containerimage.base.config')!).toString(), config);
});

test('global arguments reach a stage only where it declares them', async () => {
  const result = await run('ARG V=g\nARG BASE=busybox\nFROM $BASE\nENV a=x$V\nARG V\nENV b=x$V');
  assert.deepEqual(result.config.config.Env, ['PATH=/bin', 'a=x', 'b=xg']);
  assert.deepEqual(warnings(result), ['UndefinedVar']);
});

test('a later stage inherits variables, settings and arguments of the one it starts from', async () => {
  const result = await run('FROM busybox AS a\nARG V=1\nENV E=2\nUSER u\nWORKDIR /w\nFROM a\nRUN x');
  const [exec] = actions(result, 'exec');
  // The image's own are set again for the new stage.
  assert.deepEqual(exec!.meta.env, ['V=1', 'PATH=/bin', 'E=2']);
  assert.deepEqual([exec!.meta.cwd, exec!.meta.user], ['/w', 'u']);
});

test('RUN takes mounts, network and security, proxies without touching the key', async () => {
  const result = await run(
    'FROM busybox\nRUN --mount=type=cache,id=c,target=/c,uid=3 --mount=type=secret,id=s,env=S --mount=type=ssh --mount=type=tmpfs,target=/t,size=1k --network=none --security=insecure x',
    { options: { 'build-arg:http_proxy': 'p' } },
  );
  const [exec] = actions(result, 'exec');
  assert.deepEqual(
    exec!.mounts.map(({ dest, type, selector }) => [dest, type.kind, selector]),
    [
      ['/', 'bind', ''],
      ['/c', 'cache', '/cache'],
      ['/t', 'tmpfs', ''],
      ['/run/buildkit/ssh_agent.0', 'ssh', ''],
    ],
  );
  assert.deepEqual(exec!.secretEnv, [{ id: 's', name: 'S', optional: true }]);
  assert.deepEqual([exec!.network, exec!.security], ['none', 'insecure']);
  assert.equal(exec!.meta.proxyEnv?.httpProxy, 'p');
  assert.ok(exec!.meta.env.includes('SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0'));
});

test('a RUN heredoc is a script for the shell, or by its shebang a file', async () => {
  const result = await run('FROM busybox\nRUN <<E\na\nb\nE\nRUN <<S\n#!/x\nS\nRUN cat <<F >y\nz\nF\n');
  assert.deepEqual(
    actions(result, 'exec').map(({ meta }) => meta.args.at(-1)),
    ['a\nb\n', '/dev/pipes/S', 'cat <<F >y\nz\nF'],
  );
});

test('a script keeps its bytes as a file, and is refused as an argument when it is not UTF-8', async () => {
  const result = await run(Buffer.from('FROM busybox\nRUN <<-S\n\t#!/x\n\t\xe9\n\tS\n', 'latin1'));
  const [file] = actions(result, 'file');
  const change = file?.actions[0]?.change;
  assert.ok(change?.kind === 'mkfile');
  assert.deepEqual(Buffer.from(change.data), Buffer.from('#!/x\n\xe9\n', 'latin1'));
  for (const text of ['RUN <<S\n\xe9\nS\n', 'RUN cat <<S\n\xe9\nS\n']) {
    await assert.rejects(run(Buffer.from(`FROM busybox\n${text}`, 'latin1')), {
      code: 'invalid_argument',
      message: 'the heredoc S holds bytes that are not UTF-8',
    });
  }
});

test('COPY options become those of one file op', async () => {
  const result = await run(
    'FROM busybox\nCOPY --chown=app:2 --chmod=u=rwX --exclude=*.o --parents a/./b/c d/ e/\nADD --unpack=false x.tar /\n',
  );
  const [copy, add] = actions(result, 'file');
  const [first, second] = copy!.actions.map(({ change }) => change);
  assert.ok(first?.kind === 'copy' && second?.kind === 'copy');
  assert.deepEqual(first.owner, {
    user: { kind: 'name', name: 'app', input: 0 },
    group: { kind: 'id', id: 2 },
  });
  assert.deepEqual(
    [
      first.src,
      first.dest,
      first.modeString,
      first.excludePatterns,
      first.includePatterns,
      first.requiredPaths,
    ],
    ['/a', '/home/e/', 'u=rwX', ['*.o'], ['b/c'], ['/a/b/c']],
  );
  assert.deepEqual([second.src, second.includePatterns], ['/', ['d']]);
  const [unpacked] = add!.actions.map(({ change }) => change);
  assert.ok(unpacked?.kind === 'copy' && !unpacked.unpackArchive);
});

test('ADD clones repositories and downloads files', async () => {
  const result = await run('FROM scratch\nADD https://h/r.git#v1 /r\nADD https://h/p/f.tgz?x /f');
  assert.deepEqual(
    actions(result, 'source').map(({ identifier }) => identifier),
    ['git://h/r.git#v1', 'https://h/p/f.tgz?x'],
  );
});

test('named contexts stand in for images and stages', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const result = await run(
    'FROM base AS a\nRUN x\nFROM other AS b\nRUN never\nFROM a\nCOPY --from=b /f /\nCOPY --from=dir p /',
    {
      images: { [`docker.io/library/base@${digest}`]: busybox },
      options: {
        'context:base': `oci-layout://store@${digest}`,
        'context:b': 'input:given',
        'context:dir': 'local:other',
      },
      inputs: new Map([['given', toDefinition(local('in', { sessionId: 's' }))]]),
    },
  );
  assert.deepEqual(
    actions(result, 'source').map(({ identifier, attrs }) => [
      identifier,
      attrs['oci.store'] ?? attrs['local.followpaths'],
    ]),
    [
      [`oci-layout://docker.io/library/base@${digest}`, 'store'],
      ['local://in', undefined],
      ['local://other', '["p"]'],
    ],
  );
  assert.equal(actions(result, 'exec').length, 1);
});

test('a client without directories can build what reads none, from a Dockerfile that it gives as an input', async () => {
  const text = Buffer.from('FROM scratch\n');
  const options = { platform: 'linux/amd64,linux/arm64' };
  const failDirectories = new KilnError('failed_precondition', 'the client offers no local directories');
  // The rig has nothing but local directories, so that the input is one that it can read.
  const dockerfile = toDefinition(scratch().file(files().mkfile('/Dockerfile', 0o644, text)));
  const inputs = new Map([['dockerfile', dockerfile]]);
  const reads = runFrontend({
    dockerfile: '',
    options,
    inputs,
    failDirectories,
    files: { '': { Dockerfile: text } },
  });
  assert.deepEqual([...(await reads).refs.keys()].sort(), ['linux/amd64', 'linux/arm64']);
  const copies = { '': { Dockerfile: 'FROM scratch\nCOPY a /\n' } };
  await assert.rejects(runFrontend({ dockerfile: '', inputs, failDirectories, files: copies }), {
    message: /the client offers no local directories/,
  });
});

test('an input that is a definition of nothing is refused', async () => {
  for (const name of ['context', 'dockerfile']) {
    const inputs = new Map([[name, { ops: [], metadata: new Map() }]]);
    await assert.rejects(run('FROM scratch', { inputs }), {
      message: /invalid nil input definition to definition op/,
    });
  }
});

test('triggers of the base image run first and can bring in stages', async () => {
  const result = await run('FROM busybox AS tool\nFROM parent\nRUN own', {
    images: {
      ...images,
      'docker.io/library/parent:latest': {
        ...busybox,
        config: { OnBuild: ['COPY --from=tool /t /', 'RUN first'] },
      },
    },
  });
  assert.deepEqual(
    outline(graphOf(result)).filter((name) => !name.includes('FROM docker')),
    [
      '[stage-1 2/4] ONBUILD COPY --from=tool /t /',
      '[stage-1 3/4] ONBUILD RUN first',
      '[stage-1 4/4] RUN own',
    ],
  );
  assert.equal(result.config.config.OnBuild, undefined);
});

test('several platforms give a ref and a config each', async () => {
  const result = await run(
    'FROM --platform=$BUILDPLATFORM scratch AS b\nARG TARGETARCH\nCOPY $TARGETARCH /\nFROM scratch\nCOPY --from=b / /',
    {
      options: { platform: 'linux/amd64,linux/arm64' },
    },
  );
  assert.deepEqual([...result.refs.keys()], ['linux/amd64', 'linux/arm64']);
  const { Platforms } = JSON.parse(Buffer.from(result.metadata.get('refs.platforms')!).toString());
  assert.deepEqual(
    Platforms.map(({ ID }: { ID: string }) => ID),
    ['linux/amd64', 'linux/arm64'],
  );
  const config = JSON.parse(
    Buffer.from(result.metadata.get('containerimage.config/linux/arm64')!).toString(),
  );
  assert.equal(config.architecture, 'arm64');
});

test('another frontend that the file asks for gets the request, unless it is the one built in', async () => {
  const other = await run('# syntax=example.com/front:1 arg\nFROM scratch').catch((error) => error);
  assert.ok(!(other instanceof Error));
  assert.equal(other.solved.at(-1)!.options!.source, 'example.com/front:1');
  const own = await run('# syntax=docker/dockerfile:1\nFROM scratch\nCOPY a /');
  assert.ok(own.solved.every(({ frontend }) => frontend === undefined));
});

test('another frontend that fails is told with the place or the argument that asks for it', async () => {
  const failing = { failForwarded: new KilnError('not_found', 'no such image') };
  await refused(run('# escape=`\n# syntax=x/y\nFROM scratch\n', failing), /^no such image$/, 2);
  await refused(
    run('FROM scratch\n', { ...failing, options: { 'build-arg:BUILDKIT_SYNTAX': 'x/y z' } }),
    /^failed with build-arg:BUILDKIT_SYNTAX = x\/y z: no such image$/,
  );
});

test('checks can be skipped by directive or comment, and made errors', async () => {
  const text = 'FROM scratch\nMAINTAINER x';
  assert.deepEqual(warnings(await run(text)), ['MaintainerDeprecated']);
  assert.deepEqual(warnings(await run(`# check=skip=MaintainerDeprecated\n${text}`)), []);
  assert.deepEqual(warnings(await run('FROM scratch\n# check=skip=all\nMAINTAINER x')), []);
  await refused(run(`# check=error=true\n${text}`), /lint violation found for rules: MaintainerDeprecated/);
});

test('errors have their line, and the nearest name', async () => {
  await refused(
    run('FROM scratch AS build\n', { options: { target: 'biuld' } }),
    /"biuld" could not be found \(did you mean build\?\)/,
  );
  await refused(run('FROM scratch AS build\nFROM buidl\n'), /did you mean build\?.*not found/s, 2);
  await refused(run('FROM busybox\nRUN --mount=type=cahce,target=/x y'), /did you mean cache\?/, 2);
  await refused(run('FROM busybox\nCOPY --from=7 a b'), /invalid stage index 7/, 2);
  await refused(
    run('FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY --from=a / /'),
    /circular dependency/,
  );
  await refused(
    run('FROM scratch AS a\nCOPY --from=later / /\nFROM scratch AS later\nFROM a'),
    /needs to be defined before/,
    2,
  );
  await refused(run('FROM scratch\nENV a=${b?wanted}'), /b: wanted/, 2);
  await refused(
    run('FROM scratch', { options: { requestid: 'frontend.x' } }),
    /unsupported request frontend\.x/,
  );
});

test('100 stages with 2,000 lines are converted in well under a second', async () => {
  const stages = Array.from(
    { length: 100 },
    (_, at) =>
      `FROM ${at === 0 ? 'busybox' : `s${at - 1}`} AS s${at}\n${'ENV a=$a\nRUN echo $a\n'.repeat(9)}COPY f${at} /\n`,
  );
  const start = process.cpuUsage();
  const result = await run(stages.join(''));
  assert.ok(graphOf(result).vertices.size > 1000);
  // Of its own: others may have the processor for most of any time.
  assert.ok(process.cpuUsage(start).user < 2_000_000);
});

test('an error of several lines names each of them, and what the file was read from', async () => {
  await assert.rejects(run('FROM busybox\nENV \\\n  alone\n'), (error) => {
    assert.ok(error instanceof KilnError);
    const detail = error.details.find(({ kind }) => kind === 'source');
    assert.ok(detail?.kind === 'source');
    assert.deepEqual(
      detail.ranges.map(({ start, end }) => [start.line, end.line]),
      [
        [2, 2],
        [3, 3],
      ],
    );
    assert.equal(detail.definition?.ops.length, 2);
    return true;
  });
});

test('a step of several lines has a place for each', async () => {
  const { source } = graphOf(await run('FROM busybox\nRUN a \\\n  b\n'));
  const places = [...source!.locations.values()].flat();
  assert.deepEqual(
    places.map(({ ranges }) => ranges.map(({ start }) => start.line)),
    [[1], [2, 3]],
  );
});

test('what comes before a line that cannot be parsed is checked, unless checks are skipped', async () => {
  const text = (head: string) => `${head}FROM busybox AS Big\nMAINTAINER me\nBADCMD\n`;
  const said = async (head: string) => {
    const heard: string[] = [];
    await refused(
      run(text(head), { onWarning: ({ short }) => heard.push(short) }),
      /unknown instruction: BADCMD/,
    );
    return heard.map((short) => short.split(':')[0]);
  };
  assert.deepEqual(await said(''), ['StageNameCasing', 'MaintainerDeprecated']);
  assert.deepEqual(await said('# check=skip=StageNameCasing\n'), ['MaintainerDeprecated']);
});

test('SOURCE_DATE_EPOCH can be the time of a repository, a download or an archive', async () => {
  const at = (seconds: number) => BigInt(seconds) * 1_000_000_000n;
  const epochOf = async (dockerfile: string, rig: Partial<RigOptions>) => {
    const { metadata } = await run(dockerfile, rig);
    const epoch = metadata.get('source.date.epoch');
    return epoch && Buffer.from(epoch).toString();
  };
  const add = (source: string) =>
    `ARG SOURCE_DATE_EPOCH=when\nFROM scratch AS when\nADD ${source} /\nFROM busybox\nRUN x\n`;
  const dated = (identifier: string, seconds: number) => ({
    sourceTimes: { [identifier]: new Date(seconds * 1000 + 999) },
  });
  assert.equal(await epochOf(add('https://h/r.git#v1'), dated('git://h/r.git#v1', 5)), '5');
  assert.equal(await epochOf(add('https://h/f.txt'), dated('https://h/f.txt', 7)), '7');
  const archiveTimes = { '/a': at(8), '/d/b': at(9) };
  assert.equal(await epochOf(add('https://h/f.tar.gz'), { archiveTimes }), '9');
  const undated = { files: { 'https://h/f.txt': { 'f.txt': 'text' } } };
  assert.equal(await epochOf(add('https://h/f.txt'), undated), undefined);
  const named = { 'build-arg:SOURCE_DATE_EPOCH': 'src', 'context:src': 'https://h/r.git' };
  assert.equal(await epochOf('FROM busybox\n', { options: named, ...dated('git://h/r.git', 3) }), '3');
});

test('a capability that is missing is refused, or left to a frontend that has it', async () => {
  const caps = (value: string) => ({ options: { 'frontend.caps': value } });
  await refused(
    run('FROM busybox\n', caps('moby.buildkit.frontend.x')),
    /capability moby.buildkit.frontend.x/,
  );
  await refused(
    run('FROM busybox\n', caps('moby.buildkit.frontend.x+forward')),
    /unsupported frontend capability/,
  );
  const { solved } = await run(
    '# syntax=other/frontend\nFROM busybox\n',
    caps('moby.buildkit.frontend.x+forward'),
  );
  assert.equal(solved.at(-1)?.frontend, 'gateway.v0');
});

test('options of the client become those of the steps', async () => {
  const result = await run('FROM busybox AS a\nRUN a\nFROM a\nRUN b\n', {
    options: {
      'no-cache': 'A',
      'cgroup-parent': '/parent',
      cpusetcpus: '0-1',
      memory: '1000',
      'image-resolve-mode': 'pull',
      'add-hosts': 'h=1.2.3.4',
      'shm-size': '64',
      ulimit: 'nofile=1:2',
      hostname: 'box',
    },
  });
  const execs = [...graphOf(result).vertices.values()].filter(({ op }) => op.action.kind === 'exec');
  assert.deepEqual(
    execs.map(({ metadata }) => metadata.ignoreCache),
    [true, false],
  );
  for (const { op, metadata } of execs) {
    assert.ok(op.action.kind === 'exec');
    const { cgroupParent, extraHosts, ulimits, hostname } = op.action.meta;
    assert.deepEqual([cgroupParent, hostname], ['/parent', 'box']);
    assert.deepEqual(extraHosts, [{ host: 'h', ip: '1.2.3.4' }]);
    assert.deepEqual(ulimits, [{ name: 'nofile', soft: 1, hard: 2 }]);
    assert.deepEqual([metadata.resources?.memory, metadata.resources?.cpusetCpus], [1000, '0-1']);
    const shared = op.action.mounts.find(({ dest }) => dest === '/dev/shm');
    assert.deepEqual(shared?.type, { kind: 'tmpfs', size: 64 });
  }
  assert.equal(result.resolved[0]?.options.resolveMode, 'pull');
  assert.equal(actions(result, 'source')[0]?.attrs['image.resolvemode'], 'pull');
});

test('a client says where its Dockerfile and its context are', async () => {
  const own = await run('FROM scratch\nCOPY wrong /\n', {
    options: { dockerfilekey: 'recipes', filename: 'a/Recipe' },
    files: { recipes: { 'a/Recipe': 'FROM scratch\nCOPY f /\n' } },
  });
  assert.deepEqual(outline(graphOf(own)), ['[internal] load build context', '[1/1] COPY f /']);
  const elsewhere = await run('FROM scratch\nCOPY wrong /\n', {
    options: { contextkey: 'place', place: 'https://h/r.git', dockerfilekey: 'recipes' },
    files: { recipes: { Dockerfile: 'FROM scratch\nCOPY f /\n' } },
  });
  assert.deepEqual(outline(graphOf(elsewhere)), [
    '[internal] load git source https://h/r.git',
    '[1/1] COPY f /',
  ]);
});

test('an image of another platform than the one that was asked for is a warning', async () => {
  const result = await run('FROM busybox\nRUN x\n', { options: { platform: 'linux/arm64' } });
  assert.deepEqual(
    result.warnings.map(({ short }) => short),
    [
      'InvalidBaseImagePlatform: Base image busybox was pulled with platform "linux/amd64", expected "linux/arm64" for current build (line 1)',
    ],
  );
});

test('what is wrong with a flag is at the place of the flag', async () => {
  const placeOf = async (instruction: string) => {
    const error = await run(`FROM busybox\n${instruction}\n`).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof KilnError);
    const detail = error.details.find(({ kind }) => kind === 'source');
    assert.ok(detail?.kind === 'source');
    const [{ start, end } = assert.fail('no range')] = detail.ranges;
    assert.equal(detail.ranges.length, 1);
    return `${start.line}:${start.character}-${end.character}`;
  };
  assert.equal(await placeOf('RUN --mount=target=/a \\\n  --mount=type=cahce,target=/b x'), '3:2-30');
  assert.equal(await placeOf('COPY --chown=1 --from=nothing a b'), '2:15-29');
  assert.equal(await placeOf('COPY --chmod=zz a b'), '2:5-15');
  assert.equal(await placeOf('RUN --mount=type=bind,from=$x,target=/b x'), '2:4-39');
  assert.equal(await placeOf('COPY --__proto__=1 a b'), '2:5-18');
});

test('a substitution that fails is told with its line and columns', async () => {
  const cases: readonly (readonly [string, string, readonly number[], readonly number[]])[] = [
    ['FROM scratch\nENV a=b c=x${D:?e}y', '${D:?e}', [2, 11], [2, 18]],
    ['FROM scratch\nLABEL k \\\n  v${D:?e}', '${D:?e}', [3, 3], [3, 10]],
    ['ARG a=b c=${D^}\nFROM scratch', '${D^}', [1, 10], [1, 15]],
    ['FROM --platform=l${D:?e} scratch', '${D:?e}', [1, 17], [1, 24]],
    ['FROM scratch\nWORKDIR /a/"b', '"b', [2, 11], [2, 13]],
    ['FROM scratch\nCOPY --chown=1:${D:?e} a b ${D} /', '${D:?e}', [2, 15], [2, 22]],
    ['FROM scratch\nCOPY a  b/${D:?e} /', '${D:?e}', [2, 10], [2, 17]],
    ['FROM scratch\nEXPOSE 80 8${D:?e}', '${D:?e}', [2, 11], [2, 18]],
    ['FROM scratch\nCOPY <<-E /\n\ta\n\t\tb ${D:?e}\n\tE', '${D:?e}', [4, 4], [4, 11]],
    // Its words are not in the file as they are: the place is that of the flag, or of the instruction.
    ['FROM scratch\nRUN --mount=target=/${D:?e} x', '--mount=target=/${D:?e}', [2, 4], [2, 27]],
    ['FROM scratch\nVOLUME ["/${D:?e}"]', '', [2, 0], [2, 0]],
  ];
  for (const [text, part, start, end] of cases) {
    const error = await run(text).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof KilnError, text);
    const [detail, ...others] = error.details.filter(({ kind }) => kind === 'source');
    assert.ok(detail?.kind === 'source' && others.length === 0, text);
    const [range] = detail.ranges;
    assert.deepEqual([range!.start.line, range!.start.character], start, text);
    assert.deepEqual([range!.end.line, range!.end.character], end, text);
    const line = text.split('\n')[range!.start.line - 1]!;
    assert.equal(line.slice(range!.start.character, range!.end.character), part);
  }
});
