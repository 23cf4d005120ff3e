import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { Control } from '../../src/api/gen/control_pb.js';
import { MountType } from '../../src/api/gen/ops_pb.js';
import { asKilnError } from '../../src/base/errors.ts';
import { connectDaemon } from '../../src/client/connect-daemon.ts';
import { encodeDefinition, files, scratch, toDefinition } from '../../src/llb/llb.ts';
import { eventually } from '../rig/eventually.ts';
import { daemonRig } from '../rig/suite-rig.ts';
import { base, GatewayClient } from './gateway-client.ts';

/** BuildKit's detail of a failed step, in protobuf's JSON with BuildKit's names. */
interface StepDetail {
  readonly inputIDs?: readonly string[];
  readonly mountIDs?: readonly string[];
  readonly file?: { readonly index?: string };
  readonly cache?: { readonly index?: string };
  readonly op?: {
    readonly exec?: {
      readonly meta: { readonly args: readonly string[] };
      readonly mounts: readonly {
        readonly dest: string;
        readonly mountType?: number;
        readonly output?: string;
      }[];
    };
    readonly file?: { readonly actions: readonly { readonly mkfile?: object; readonly copy?: object }[] };
    readonly platform?: { readonly OS: string; readonly Architecture: string };
  };
  readonly description?: Readonly<Record<string, string>>;
}

const typeUrl = 'github.com/moby/buildkit/errdefs.Solve+json';

async function failure(work: Promise<unknown>): Promise<StepDetail> {
  const error = asKilnError(
    await work.then(
      () => assert.fail('it succeeded'),
      (reason) => reason,
    ),
  );
  const found = error.details.find((detail) => detail.kind === 'other' && detail.typeUrl === typeUrl);
  assert.ok(
    found?.kind === 'other',
    `${error.message.slice(0, 200)}: ${JSON.stringify(error.details.map(({ kind }) => kind))}`,
  );
  return JSON.parse(Buffer.from(found.value).toString()) as StepDetail;
}

function script(text: string): readonly string[] {
  return ['sh', '-ec', text];
}

describe('a client of the gateway whose step fails', () => {
  const rig = daemonRig();

  /** What a file holds of which a container has this tree. */
  async function read(client: GatewayClient, id: string, file: string): Promise<string> {
    const container = `container of ${id} ${file}`;
    await client.container(container, base, [{ dest: '/tree', resultId: id, readonly: true }]);
    const process = client.exec().start(container, ['cat', `/tree${file}`]);
    await process.ended;
    await client.bridge.releaseContainer({ containerId: container }, client.call);
    return process.said[1];
  }

  test('gets the mounts of the process as they were, the step, and its inputs', async () => {
    await using client = await GatewayClient.open(rig.daemon.address);
    const given = scratch().file(files().mkfile('/given', 0o600, 'given'));
    const step = base.run(
      script('echo root >/made; echo more >/rw/made; echo kept >/cache/made; cat /ro/given; exit 7'),
      {
        mounts: [
          { dest: '/rw', from: given },
          { dest: '/ro', from: given, readonly: true },
          { dest: '/cache', from: scratch(), type: { kind: 'cache', id: 'failed', sharing: 'shared' } },
        ],
      },
    );
    const { op, ...detail } = await failure(client.solve(step.root, { evaluate: true }));
    const mounts = op?.exec?.mounts ?? [];
    assert.deepEqual(op?.exec?.meta.args.slice(0, 2), ['sh', '-ec']);
    assert.equal(op?.platform?.OS, 'linux');
    const { inputIDs = [], mountIDs = [] } = detail;
    assert.deepEqual([inputIDs.length, mountIDs.length], [mounts.length, mounts.length]);
    const idOf = (ids: readonly string[], dest: string) =>
      ids[mounts.findIndex((mount) => mount.dest === dest)]!;
    assert.equal(mounts.find(({ dest }) => dest === '/cache')?.mountType, MountType.CACHE);
    assert.equal(await read(client, idOf(mountIDs, '/'), '/made'), 'root\n');
    assert.equal(await read(client, idOf(inputIDs, '/'), '/made'), '');
    assert.equal(await read(client, idOf(mountIDs, '/rw'), '/made'), 'more\n');
    assert.equal(await read(client, idOf(mountIDs, '/rw'), '/given'), 'given');
    assert.equal(await read(client, idOf(inputIDs, '/rw'), '/made'), '');
    assert.equal(await read(client, idOf(mountIDs, '/ro'), '/given'), 'given');

    // The place of the step again: what is done there changes nothing of what was kept.
    const again = mounts.map(({ dest, mountType = 0 }, index) => ({
      dest,
      type: mountType,
      resultId: mountIDs[index]!,
      ...(mountType === MountType.CACHE && { cache: { id: 'failed' } }),
    }));
    await client.bridge.newContainer({ containerId: 'again', mounts: again }, client.call);
    const process = client.exec().start('again', script('cat /made /rw/made /cache/made; echo x >/made'));
    assert.equal((await process.ended).code, 0);
    assert.equal(process.said[1], 'root\nmore\nkept\n');
    assert.equal(await read(client, idOf(mountIDs, '/'), '/made'), 'root\n');
    await client.finish();
  });

  test('gets the trees of the actions that were done, and which action failed', async () => {
    await using client = await GatewayClient.open(rig.daemon.address);
    const actions = files()
      .mkdir('/there', 0o755)
      .mkfile('/there/file', 0o644, 'text')
      .mkfile('/not/file', 0o644, '');
    const made = await failure(client.solve(scratch().file(actions), { evaluate: true }));
    assert.deepEqual([made.inputIDs ?? [], made.file, made.mountIDs?.length], [[], { index: '2' }, 3]);
    assert.deepEqual(made.mountIDs?.slice(0, 2), ['', '']);
    assert.equal(await read(client, made.mountIDs![2]!, '/there/file'), 'text');
    assert.equal(made.op?.file?.actions.length, 3);

    const source = scratch().file(files().mkfile('/file', 0o644, 'of the source'));
    const copy = files().mkfile('/first', 0o644, 'first').copy(source, '/file', '/not/there');
    const copied = await failure(client.solve(base.file(copy), { evaluate: true }));
    assert.deepEqual([copied.inputIDs?.length, copied.file, copied.mountIDs?.length], [2, { index: '1' }, 2]);
    assert.equal(await read(client, copied.mountIDs![1]!, '/first'), 'first');
    assert.equal(await read(client, copied.inputIDs![1]!, '/file'), 'of the source');
  });

  test('gets the input whose content could not be told', async () => {
    await using client = await GatewayClient.open(rig.daemon.address);
    const given = scratch().file(files().mkfile('/given', 0o600, 'given'));
    const step = base.run(['true'], {
      mounts: [{ dest: '/in', from: given, selector: '/missing', readonly: true }],
    });
    const detail = await failure(client.solve(step.root, { evaluate: true }));
    assert.deepEqual(
      [detail.inputIDs?.length, detail.mountIDs, detail.cache],
      [1, undefined, { index: '1' }],
    );
    assert.equal(await read(client, detail.inputIDs![0]!, '/given'), 'given');
  });

  test('gets the trees also when it asks for files of the result, and when the step is too large to be told', async () => {
    await using client = await GatewayClient.open(rig.daemon.address);
    const step = base.run(script(`echo here >/made; : ${'x'.repeat(40_000)}; exit 3`));
    const ref = await client.solve(step.root);
    for (const ask of [
      () => client.bridge.readFile({ ref, path: '/made' }, client.call),
      () => client.bridge.readDir({ ref, path: '/' }, client.call),
      () => client.bridge.statFile({ ref, path: '/made' }, client.call),
      () => client.bridge.evaluate({ ref }, client.call),
    ]) {
      const detail = await failure(ask());
      assert.equal(detail.op, undefined);
      assert.equal(await read(client, detail.mountIDs![0]!, '/made'), 'here\n');
    }
  });

  test('keeps what it got as long as its build, and no longer', async () => {
    await using connection = await connectDaemon(rig.daemon.address);
    const control = createClient(Control, connection.transport);
    const records = async () => {
      const { records: all } = await control.diskUsage({});
      return all.filter(({ description }) => description.includes('of a kept step')).length;
    };
    const client = await GatewayClient.open(rig.daemon.address);
    const detail = await failure(
      client.solve(base.run(script('echo here >/made; : of a kept step; exit 3')).root, { evaluate: true }),
    );
    assert.equal(await records(), 1);
    const removed = [];
    for await (const record of control.prune({ all: true })) removed.push(record.description);
    assert.equal(await records(), 1, removed.join());
    assert.equal(await read(client, detail.mountIDs![0]!, '/made'), 'here\n');
    await client.finish();
    await eventually(async () => (await records()) === 0, records);
    await client.leave();
  });

  test('gives up a solve, and what only that one wanted ends, while the build goes on', async () => {
    await using client = await GatewayClient.open(rig.daemon.address);
    const given = new AbortController();
    const { root } = base.run(script('while true; do sleep 1; done'));
    const definition = encodeDefinition(toDefinition(root));
    const solving = client.bridge.solve(
      { definition, evaluate: true, allowResultReturn: true },
      { ...client.call, signal: given.signal },
    );
    const containers = () => readdirSync(path.join(rig.daemon.root, 'executor/state')).length;
    await eventually(() => containers() === 1, containers);
    given.abort();
    await assert.rejects(solving, { code: 'canceled' });
    await eventually(() => containers() === 0, containers);
    assert.ok(await client.solve(base));
    await client.finish();
  });
});
