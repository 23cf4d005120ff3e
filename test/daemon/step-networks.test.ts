import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { NetworkRig } from '../../src/network/network-rig.ts';
import { Daemon } from '../rig/daemon.ts';
import { rootOfStep } from '../rig/step-process.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

// This process, and the daemons that it starts, are on a machine with a network of its own.
const machine = NetworkRig.enter();
const url = machine.serve();
const work = new WorkDirectory();
after(() => {
  work[Symbol.dispose]();
  machine[Symbol.dispose]();
});

const seen = `you are ::ffff:${machine.machineAddress}\n`;
/** Steps that say which network they have, and what the server outside sees of them; each a line. */
const steps = (...flags: readonly string[]) =>
  work.tree({
    Dockerfile: [
      'FROM base',
      ...flags.map(
        (flag, index) =>
          `RUN ${flag} : ${index}; readlink /proc/self/ns/net >> /said; busybox wget -q -O - ${url} >> /said || echo nobody >> /said`,
      ),
    ].join('\n'),
  });
const ofMachine = () => `${readlinkSync('/proc/self/ns/net')}\n`;

async function assertNothingLeft(): Promise<void> {
  await machine.untilOnly();
  assert.deepEqual(machine.rules(), []);
}

describe('a daemon that gives steps a bridge', () => {
  const rig = suiteRig(async (resources) => {
    resources.defer(assertNothingLeft);
    const args = ['--oci-worker-net', 'bridge', '--oci-cni-pool-size', '2'];
    const daemon = resources.use(
      await Daemon.start({ args: [...args, '--allow-insecure-entitlement', 'network.host'] }),
    );
    return { kiln: daemon.kiln };
  });
  test('gives each one of its own, from which it gets out, unless it wants none or, where that is allowed, that of the machine', async () => {
    const context = steps('', '--network=default', '--network=none', '--network=host');
    const said = await rig.kiln.textOf('said', context, ['--allow', 'network.host']);
    const networks = said.match(/net:.*\n/g) ?? [];
    const [first, second, none, host] = networks;
    assert.equal(host, ofMachine());
    assert.equal(new Set(networks).size, 4);
    assert.equal(said, `${first}${seen}${second}${seen}${none}nobody\n${host}${seen}`);
  });

  test('gives all steps of a build what the build wants', async () => {
    assert.match(await rig.kiln.textOf('said', steps(''), ['--network', 'none']), /^net:.*\nnobody\n$/);
    assert.equal(await rig.kiln.textOf('said', steps(''), ['--network', 'host']), ofMachine() + seen);
    const { stderr } = await rig.kiln.failingBuild(steps('--network=host'));
    assert.match(stderr, /network\.host is not allowed/);
  });

  test('says so to clients as BuildKit does', async () => {
    const { stdout } = await rig.kiln.must(['debug', 'workers', '--verbose']);
    assert.match(stdout, /org\.mobyproject\.buildkit\.worker\.network:\s+cni\n/);
  });
});

test('a daemon gives steps the networks of the CNI plugins that are configured', async () => {
  const plugins = [
    {
      type: 'bridge',
      bridge: 'cnitest0',
      isDefaultGateway: true,
      ipMasq: true,
      ipam: { type: 'host-local', dataDir: work.at('addresses'), subnet: '10.98.0.0/24' },
    },
  ];
  const configFile = path.join(
    work.tree({ 'cni.json': JSON.stringify({ cniVersion: '1.0.0', name: 'steps', plugins }) }),
    'cni.json',
  );
  const args = [
    '--oci-cni-config-path',
    configFile,
    '--oci-cni-binary-dir',
    '/usr/lib/cni',
    '--oci-cni-pool-size',
    '2',
  ];
  {
    await using daemon = await Daemon.start({ args });
    const said = await daemon.kiln.textOf('said', steps('', ''));
    assert.match(said.replaceAll(seen, ''), /^(net:.*\n){2}$/);
    assert.equal(said.split(seen).length, 3);
  }
  await machine.untilOnly('cnitest0');
  assert.deepEqual(
    readdirSync(work.at('addresses/steps')).filter((name) => /^10\./.test(name)),
    [],
  );
  spawnSync('ip', ['link', 'delete', 'cnitest0']);
});

test('what a daemon leaves that is killed during a step is gone after the next start, whatever its mode', async () => {
  using own = new WorkDirectory();
  const root = own.at('root');
  {
    const killed = await Daemon.start({ root, args: ['--oci-worker-net', 'bridge'] });
    const context = own.tree({ Dockerfile: 'FROM base\nRUN ["sleep", "98761"]\n' });
    const build = killed.kiln.start(context);
    await rootOfStep('98761');
    killed.process.kill('SIGKILL');
    await Promise.all([killed.process.finished, build.finished]);
    assert.equal(machine.links().length, 2);
    assert.notDeepEqual(machine.rules(), []);
  }
  await using daemon = await Daemon.start({ root });
  await assertNothingLeft();
  assert.equal(await daemon.kiln.textOf('said', steps('')), ofMachine() + seen);
});
