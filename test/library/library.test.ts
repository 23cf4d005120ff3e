import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import {
  type Build,
  build,
  type Client,
  connect,
  type Drive,
  diskUsage,
  type ErrorDetail,
  KilnError,
  listWorkers,
  prune,
  type SolveStatus,
  solve,
  unaryMethod,
} from '../../src/library/library.ts';
import { files, image, ociLayout, scratch, toDefinition, withSourceLines } from '../../src/llb/llb.ts';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';

const { digest, directory } = baseLayout();
const base = ociLayout(`base@${digest}`, { storeId: 'base' });
const layouts = { base: directory };

suite('the library builds', () => {
  const rig = suiteRig(async (resources) => {
    const opened = await openDaemon(resources);
    const registry = resources.use(await startRegistry());
    const client = resources.use(await connect(opened.daemon.address));
    return { ...opened, registry, client };
  });

  async function progressOf({ progress }: Build): Promise<SolveStatus[]> {
    return await Array.fromAsync(progress);
  }

  test('a graph, a definition and what a frontend makes, to several outputs at once', async () => {
    const state = base.run('sh -c "echo $WORD > /out/word"', {
      env: { WORD: 'hello' },
      mounts: [{ dest: '/out' }],
      name: 'write it',
    });
    const [one, two] = [rig.work.tree({}), rig.work.tree({})];
    const archive = rig.work.at('image.tar');
    const building = build(rig.client, state.mount('/out'), {
      layouts,
      outputs: [
        { type: 'local', dest: one },
        { type: 'oci', dest: archive },
      ],
    });
    const [statuses, result] = await Promise.all([progressOf(building), building.result]);
    assert.equal(readFileSync(`${one}/word`, 'utf8'), 'hello\n');
    assert.ok(existsSync(archive));
    assert.match(result.response['containerimage.digest'] ?? '', /^sha256:/);
    const names = statuses.flatMap(({ vertexes }) => vertexes.map(({ name }) => name));
    assert.ok(names.includes('write it'), names.join());

    const definition = toDefinition(state.mount('/out'));
    await solve(rig.client, definition, { layouts, outputs: [{ type: 'local', dest: two }] });
    assert.equal(readFileSync(`${two}/word`, 'utf8'), 'hello\n');

    const context = rig.work.tree({
      'Containerfile.x': 'FROM lower AS last\nARG NAME\nCOPY hello /$NAME\n',
      hello: 'hi',
    });
    const source = {
      frontend: 'dockerfile.v0',
      options: { filename: 'Containerfile.x', 'build-arg:NAME': 'greeting', 'context:lower': 'input:lower' },
      inputs: { lower: scratch().file(files().mkfile('/lower', 0o644, 'below')) },
    };
    const dest = rig.work.tree({});
    await solve(rig.client, source, {
      locals: { context, dockerfile: context },
      outputs: [{ type: 'local', dest }],
    });
    assert.deepEqual(
      ['greeting', 'lower'].map((name) => readFileSync(`${dest}/${name}`, 'utf8')),
      ['hi', 'below'],
    );
  });

  test('what a function here makes of what it reads of the daemon', async () => {
    const name = `${rig.registry.host}/base:1`;
    const pushed = base.env('UNUSED', '1');
    await solve(rig.client, pushed, {
      layouts,
      outputs: [{ type: 'image', attributes: { name, push: 'true' } }],
    });
    const drive: Drive = async (gateway) => {
      assert.ok(gateway.workers[0]!.platforms.length > 0);
      const found = await gateway.findImage(name);
      assert.match(found.digest, /^sha256:/);
      const tree = image(found.name)
        .withImageConfig(found.config)
        .run('sh -c "echo $((6*7)) > /answer"').root;
      const solved = await gateway.solve(tree);
      const bytes = await solved.refs.get('')!.readFile('/answer');
      return await gateway.solve(scratch().file(files().mkfile('/read', 0o644, bytes)));
    };
    const dest = rig.work.tree({});
    await solve(rig.client, drive, { outputs: [{ type: 'local', dest }] });
    assert.equal(readFileSync(`${dest}/read`, 'utf8'), '42\n');
    // A frontend is asked with the options of the build.
    const options: unknown[] = [];
    await solve(
      rig.client,
      {
        async solve(bridge, request) {
          options.push(request.options.word, request.sessionId !== '');
          return await bridge.solve({ frontend: 'dockerfile.v0', options: { filename: 'D' } });
        },
      },
      {
        attributes: { word: 'x' },
        locals: { dockerfile: rig.work.tree({ D: 'FROM scratch\nLABEL a=b' }) },
      },
    );
    assert.deepEqual(options, ['x', true]);
  });

  test('what fails tells its code, and the line that it was written in', async () => {
    const failing = withSourceLines(() => base.run('sh -c "exit 7"').root); // here
    const error = await solve(rig.client, failing, { layouts }).catch((reason: unknown) => reason);
    assert.ok(error instanceof KilnError);
    const detail = <Kind extends ErrorDetail['kind']>(kind: Kind) =>
      error.details.find((each): each is ErrorDetail & { kind: Kind } => each.kind === kind);
    assert.equal(detail('exit')?.code, 7);
    const source = detail('source')!;
    const line = Buffer.from(source.data).toString().split('\n')[source.ranges[0]!.start.line - 1];
    assert.match(line!, /exit 7.*\/\/ here$/);
  });

  test('what a function throws ends the build, and is thrown again', async () => {
    const own = new KilnError('already_exists', 'no more of this', { hint: 'stop' });
    await assert.rejects(
      solve(rig.client, async () => {
        throw own;
      }),
      (error) => error === own,
    );
    await assert.rejects(
      solve(rig.client, async () => {
        throw new TypeError('not a function');
      }),
      (error) => error instanceof KilnError && error.cause instanceof TypeError,
    );
    // A result that is none.
    await assert.rejects(solve(rig.client, (async () => ({ refs: 'x' })) as never), KilnError);
  });

  test('an aborted build ends with the reason, wherever it is', async () => {
    const stop = new AbortController();
    const building = build(rig.client, base.run('sleep 1000', { name: 'sleep long' }).root, {
      layouts,
      signal: stop.signal,
    });
    const ended = assert.rejects(building.result, { code: 'canceled' });
    for await (const { vertexes } of building.progress) {
      if (vertexes.some(({ name, started }) => name === 'sleep long' && started)) stop.abort();
    }
    await ended;
    await assert.rejects(solve(rig.client, scratch(), { signal: AbortSignal.abort() }), { code: 'canceled' });
    const driven = new AbortController();
    await assert.rejects(
      solve(
        rig.client,
        (_gateway, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
            driven.abort();
          }),
        { signal: driven.signal },
      ),
      { code: 'canceled' },
    );
  });

  test('a daemon that is gone ends the build', async () => {
    await using other = await connect(rig.daemon.address);
    const building = build(other, base.run('sleep 1001', { name: 'sleep longer' }).root, { layouts });
    const ended = assert.rejects(building.result, { code: /unavailable|canceled/ });
    for await (const { vertexes } of building.progress) {
      if (vertexes.some(({ name, started }) => name === 'sleep longer' && started)) await other.close();
    }
    await ended;
    await assert.rejects(connect(`unix://${rig.work.at('nobody.sock')}`), { code: 'unavailable' });
    assert.throws(() => build({} as Client, scratch()), {
      code: 'invalid_argument',
      message: /not a client/,
    });
  });

  test('secrets are values, files or variables', async () => {
    process.env.LIBRARY_TEST_SECRET = 'of the environment';
    try {
      const secrets = ['text', 'bytes', 'file', 'variable'].map((id) => ({ id, dest: `/run/${id}` }));
      const state = base.run('sh -c "cd /run; cat text bytes file variable > /out/all"', {
        secrets,
        mounts: [{ dest: '/out' }],
        ignoreCache: true,
      });
      const dest = rig.work.tree({ file: 'of a file,' });
      await solve(rig.client, state.mount('/out'), {
        layouts,
        secrets: {
          text: 'a text,',
          bytes: Buffer.from('bytes,'),
          file: { file: `${dest}/file` },
          variable: { env: 'LIBRARY_TEST_SECRET' },
        },
        outputs: [{ type: 'local', dest }],
      });
      assert.equal(readFileSync(`${dest}/all`, 'utf8'), 'a text,bytes,of a file,of the environment');
    } finally {
      delete process.env.LIBRARY_TEST_SECRET;
    }
  });

  test('the session serves methods that the caller has', async () => {
    const asked: string[] = [];
    const state = base.run('cat /run/own', { secrets: [{ id: 'own', dest: '/run/own' }], ignoreCache: true });
    await solve(rig.client, state.root, {
      layouts,
      methods: {
        // A message with the bytes in its first field.
        '/moby.buildkit.secrets.v1.Secrets/GetSecret': unaryMethod(async (request) => {
          asked.push(Buffer.from(request).toString('latin1'));
          return Buffer.from('\n\u0005value', 'latin1');
        }),
      },
    });
    assert.equal(asked.length, 1);
    assert.match(asked[0]!, /own/);
    await assert.rejects(
      solve(rig.client, state.root, {
        layouts,
        methods: {
          '/moby.buildkit.secrets.v1.Secrets/GetSecret': unaryMethod(() => {
            throw new KilnError('permission_denied', 'not for you');
          }),
        },
      }),
      { message: /not for you/ },
    );
  });

  test('options that make no sense are refused before anything is asked', async () => {
    for (const [options, message] of [
      [{ outputs: [{ type: 'local' }] }, /"local": the destination directory is missing/],
      [{ outputs: [{ type: 'tar' }] }, /"tar": the file is missing/],
      [{ outputs: [{ type: 'image', dest: 'x' }] }, /type image has no destination/],
      [{ outputs: [{ type: 'oci', dest: 'x', attributes: { tar: 'no' } }] }, /"no" is neither/],
    ] as const) {
      await assert.rejects(solve(rig.client, scratch(), options), { code: 'invalid_argument', message });
    }
    const missing = { locals: { context: rig.work.at('nowhere') } };
    await assert.rejects(solve(rig.client, scratch(), missing), { code: 'not_found', message: /nowhere/ });
  });

  test('workers, and what the build cache holds and gives up', async () => {
    const [worker] = await listWorkers(rig.client);
    assert.ok(worker!.id !== '' && worker!.platforms.length > 0);
    await solve(rig.client, base.run('touch /kept').root, { layouts });
    const records = await diskUsage(rig.client);
    const { description, size, type, createdAt } = records.find((each) => /touch/.test(each.description))!;
    assert.deepEqual(
      [type, typeof size, createdAt instanceof Date],
      ['regular', 'number', true],
      description,
    );
    const filters = ['type==regular'];
    const usual = await diskUsage(rig.client, { filters });
    assert.ok(usual.length > 0 && usual.every((each) => each.type === 'regular'));
    const kept = await Array.fromAsync(prune(rig.client, { filters, keepDuration: 3_600_000 }));
    assert.deepEqual(kept, []);
    const gone = await Array.fromAsync(prune(rig.client));
    assert.ok(gone.some((each) => /touch/.test(each.description)));
    await assert.rejects(diskUsage(rig.client, { signal: AbortSignal.abort() }), { code: 'canceled' });
  });
});
