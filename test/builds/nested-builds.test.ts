import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { KilnError } from '../../src/base/errors.ts';
import type { SolveRequest } from '../../src/client/solve-request.ts';
import { InputList, opVertex } from '../../src/llb/builder/vertex.ts';
import { encodeDefinition, files, merge, State, scratch, toDefinition } from '../../src/llb/llb.ts';
import type { OpAction } from '../../src/llb/op.ts';
import { LlbEngine } from '../rig/llb-engine.ts';
import { runningProcesses } from '../rig/running-processes.ts';
import { rootOfStep } from '../rig/step-process.ts';
import { suiteRig } from '../rig/suite-rig.ts';

const definitionFile = 'buildkit.llb.definition';

describe('a nested build', () => {
  const rig = suiteRig(async (resources) => ({
    engine: resources.use(
      await LlbEngine.open({
        config: 'insecure-entitlements = ["network.host"]\n[worker.oci]\nmax-parallelism = 2',
      }),
    ),
  }));

  const shell = (script: string) => ['sh', '-e', '-c', script];
  const bytesOf = (state: State) => Buffer.from(encodeDefinition(toDefinition(state)));
  const file = (name: string, text = name) => scratch().file(files().mkfile(`/${name}`, 0o644, text));

  /** The build of a definition in a tree. */
  const build = (from: State, attrs: Record<string, string> = {}, changes: Partial<OpAction> = {}): State =>
    State.of(
      opVertex([from.output], {}, [], (names) => {
        const list = new InputList(names);
        const inputs = { [definitionFile]: list.add(from.output) };
        const action = { kind: 'build', builder: -1, inputs, attrs, ...changes } as OpAction;
        return { inputs: list.list, action };
      }),
    );
  const definition = (of: State, name = definitionFile) =>
    scratch().file(files().mkfile(`/${name}`, 0o644, bytesOf(of)));
  const nested = (state: State) => build(definition(state));
  /** A directory of the client, whose name says nothing about what is in it. */
  const local = (name: string) =>
    State.of(
      opVertex([], {}, [], () => ({
        inputs: [],
        action: { kind: 'source', identifier: `local://${name}`, attrs: {} },
      })),
    );
  /** The argument of a process that no other run of this test has. */
  const mark = (number: number) => `${number}${process.pid}`;
  /** A script that waits until the file `/shared/open` is there, beside a process by which its root is found. */
  const gate = (number: number) =>
    `sleep ${mark(number)} & while ! test -e /shared/open; do sleep 0.1; done; kill $!`;
  const textOf = (directory: string, name: string) => readFileSync(path.join(directory, name), 'utf8');

  /** The names of the vertices that were completed, with how. */
  async function follow(state: State, request: Partial<SolveRequest> = {}) {
    const directory = rig.engine.work.tree({});
    const running = rig.engine.start(state, {
      outputs: [{ kind: 'directory', exporter: 'local', attributes: {}, path: directory, remove: false }],
      ...request,
    });
    const ran = new Set<string>();
    const cached = new Set<string>();
    for await (const { vertexes } of running.progress) {
      for (const vertex of vertexes) {
        if (vertex.completed) (vertex.cached ? cached : ran).add(vertex.name);
      }
    }
    await running.result;
    return { directory, ran, cached };
  }

  test('has the result of the definition that a step makes, whose steps are shown, and is found again', async () => {
    const inner = rig.engine.base.run(shell('echo made > /out/said'), {
      mounts: [{ dest: '/out', from: scratch() }],
      name: 'inner step',
    });
    const text = bytesOf(inner.mount('/out')).toString('base64');
    const made = rig.engine.base.run(shell(`echo ${text} | base64 -d > /out/some.llb`), {
      mounts: [{ dest: '/out', from: scratch() }],
    });
    const outer = build(made.mount('/out'), { 'llbbuild.filename': '/some.llb' });
    const used = merge([outer, file('more')]);
    const first = await follow(used);
    assert.equal(textOf(first.directory, 'said'), 'made\n');
    assert.ok(first.ran.has('inner step') && first.ran.has('build'), [...first.ran].join());
    const again = await follow(used);
    assert.equal(textOf(again.directory, 'said'), 'made\n');
    assert.ok(!again.ran.has('build') && !again.ran.has('inner step'), [...again.ran].join());
    // Another definition leads to the same step.
    const other = await follow(nested(merge([inner.mount('/out'), file('other')])));
    assert.ok(other.cached.has('inner step'), [...other.ran].join());
  });

  test('can have nested builds, and needs no slot of its own for any of them', async () => {
    const inner = rig.engine.base.run(shell('echo deep > /out/said'), {
      mounts: [{ dest: '/out', from: scratch() }],
    });
    const directory = await rig.engine.build(
      merge([nested(nested(nested(nested(inner.mount('/out'))))), file('x')]),
    );
    assert.equal(textOf(directory, 'said'), 'deep\n');
  });

  test('of an empty definition is the empty tree', async () => {
    const directory = await rig.engine.build(merge([build(file(definitionFile, '')), file('x')]));
    assert.equal(textOf(directory, 'x'), 'x');
  });

  test('says what is wrong with its definition', async () => {
    const failure = (state: State) =>
      rig.engine.build(state).then(String, (error: KilnError) => error.message);
    assert.match(
      await failure(build(file('other'))),
      /failed to open the definition: .*definition: no such file/,
    );
    const directory = scratch().file(files().mkdir(`/${definitionFile}`, 0o755));
    assert.match(await failure(build(directory)), /is not a regular file/);
    const out = scratch().file(files().symlink('/../../../etc/hostname', `/${definitionFile}`));
    assert.match(await failure(build(out)), /no such file/);
    assert.match(
      await failure(build(file(definitionFile, 'nonsense'))),
      /definition: these bytes are not an LLB/,
    );
    assert.match(
      await failure(build(file(definitionFile), {}, { builder: 0 })),
      /only LLB builder is currently/,
    );
    assert.match(await failure(build(file(definitionFile), {}, { inputs: {} })), /no llb definition input/);
    const failing = rig.engine.base.run(shell('echo so it goes >&2; exit 42')).root;
    assert.match(await failure(nested(nested(failing))), /exit code: 42/);
    const cut = bytesOf(file('x')).subarray(2);
    const broken = scratch().file(files().mkfile(`/${definitionFile}`, 0o644, cut));
    assert.match(await failure(build(broken)), /buildkit.llb.definition: /);
  });

  test('takes no definition that is too large', async () => {
    const context = rig.engine.work.tree({ [definitionFile]: '' });
    truncateSync(path.join(context, definitionFile), 16 * 1024 * 1024);
    await assert.rejects(
      rig.engine.build(build(local('large')), { locals: new Map([['large', context]]) }),
      /too much for a definition/,
    );
  });

  describe('whose definition contains itself', () => {
    const context = (contents: Readonly<Record<string, State>>) => {
      const directory = rig.engine.work.tree({});
      for (const [name, state] of Object.entries(contents)) {
        writeFileSync(path.join(directory, name), bytesOf(state));
      }
      return directory;
    };

    test('fails, directly and by way of others', async () => {
      const own = build(local('own'));
      await assert.rejects(
        rig.engine.build(own, { locals: new Map([['own', context({ [definitionFile]: own })]]) }),
        /contains itself: it has that vertex itself/,
      );
      const [a, b, c] = ['a', 'b', 'c'].map((name) => build(local('ring'), { 'llbbuild.filename': name }));
      const ring = context({ a: merge([file('x'), b!]), b: merge([c!, file('y')]), c: a! });
      await assert.rejects(
        rig.engine.build(a!, { locals: new Map([['ring', ring]]) }),
        /contains itself: it has a vertex whose own definition leads back to it/,
      );
    });

    test('fails when it takes two builds to close the ring', async () => {
      // The step that makes the definition has what its build says, and is one step for all.
      const from = (id: string, number: number) =>
        rig.engine.base.run(shell(`cp /run/secrets/${id} /out/${definitionFile}; ${gate(number)}`), {
          mounts: [
            { dest: '/out', from: scratch() },
            { dest: '/shared', type: { kind: 'cache', id: 'ring', sharing: 'shared' } },
          ],
          secrets: [{ id, dest: `/run/secrets/${id}` }],
        });
      const left = build(from('left', 98761).mount('/out'));
      const right = build(from('right', 98762).mount('/out'));
      const secret = (id: string, state: State) => {
        const file = rig.engine.work.at(`${id}.secret`);
        writeFileSync(file, bytesOf(state));
        return { secrets: [{ id, kind: 'file', path: file } as const] };
      };
      const builds = [
        rig.engine.build(left, secret('left', merge([file('x'), right]))),
        rig.engine.build(right, secret('right', merge([left, file('y')]))),
      ];
      const outcomes = Promise.allSettled(builds);
      const [root] = await Promise.all([98761, 98762].map((each) => rootOfStep(mark(each))));
      writeFileSync(`${root}/shared/open`, '');
      for (const outcome of await outcomes) {
        assert.ok(outcome.status === 'rejected');
        assert.match(outcome.reason.message, /leads back to it/);
      }
    });

    test('fails when it leads to ever new definitions', async () => {
      const level = (depth: number) => build(local('levels'), { 'llbbuild.filename': String(depth) });
      const levels = Object.fromEntries(Array.from({ length: 100 }, (_, depth) => [depth, level(depth + 1)]));
      await assert.rejects(
        rig.engine.build(level(0), { locals: new Map([['levels', context(levels)]]) }),
        /nested in each other more than 32 deep/,
      );
    });
  });

  test('that two builds share goes on when the one that began it leaves', async () => {
    const inner = rig.engine.base.run(
      shell(`echo run >> /shared/runs; ${gate(98763)}; cp /shared/runs /runs`),
      {
        mounts: [{ dest: '/shared', type: { kind: 'cache', id: 'gate', sharing: 'shared' } }],
        name: 'waits',
      },
    );
    const state = nested(scratch().file(files().copy(inner.root, '/runs', '/runs')));
    const left = new AbortController();
    const first = rig.engine.start(state, {}, left.signal);
    const root = await rootOfStep(mark(98763));
    const directory = rig.engine.work.tree({});
    const second = rig.engine.start(state, {
      outputs: [{ kind: 'directory', exporter: 'local', attributes: {}, path: directory, remove: false }],
    });
    // It sees the nested step that the other one began.
    for await (const { vertexes } of second.progress)
      if (vertexes.some(({ name }) => name === 'waits')) break;
    left.abort();
    await assert.rejects(first.result);
    writeFileSync(`${root}/shared/open`, '');
    await second.result;
    assert.equal(textOf(directory, 'runs'), 'run\n');
  });

  test('ends with its build', async () => {
    const stop = new AbortController();
    const running = rig.engine.start(
      nested(nested(rig.engine.base.run(shell(`sleep ${mark(98765)}`)).root)),
      {},
      stop.signal,
    );
    await rootOfStep(mark(98765));
    stop.abort();
    await assert.rejects(running.result);
    await rig.engine.build(file('something else'));
    assert.deepEqual(
      runningProcesses().filter(({ args }) => args.includes(mark(98765))),
      [],
    );
  });

  test('may do what its build may, although another build that may do more has its result', async () => {
    const state = nested(rig.engine.base.network('host').run(shell('true')).root);
    await assert.rejects(rig.engine.build(state), /network.host is not allowed/);
    await rig.engine.build(state, { entitlements: ['network.host'] });
    await assert.rejects(rig.engine.build(state), /network.host is not allowed/);
  });

  test('has the sources that policies allow, although it is known with others', async () => {
    const state = nested(scratch().file(files().copy(local('given'), 'name', '/name')));
    const locals = new Map([
      ['given', rig.engine.work.tree({ name: 'given' })],
      ['other', rig.engine.work.tree({ name: 'other' })],
    ]);
    assert.equal(textOf(await rig.engine.build(state, { locals }), 'name'), 'given');
    const decided: string[] = [];
    const directory = await rig.engine.build(state, {
      locals,
      decideSource({ source }) {
        decided.push(source.identifier);
        return source.identifier === 'local://other'
          ? { kind: 'allow' }
          : { kind: 'convert', source: { identifier: 'local://other', attrs: {} } };
      },
    });
    assert.equal(textOf(directory, 'name'), 'other');
    assert.deepEqual(decided, ['local://given', 'local://other']);
    await assert.rejects(
      rig.engine.build(state, {
        locals,
        decideSource: () => ({ kind: 'deny', messages: ['no directories'] }),
      }),
      /not allowed by policy: action DENY: no directories/,
    );
    assert.equal(textOf(await rig.engine.build(state, { locals }), 'name'), 'given');
  });
});
