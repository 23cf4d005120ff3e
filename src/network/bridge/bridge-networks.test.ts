import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import { temporaryDirectories } from '../../base/testing/temporary-directories.ts';
import { leftNetworks } from '../left-networks.ts';
import { NetworkRig } from '../network-rig.ts';
import { removeLeftNetworks } from '../remove-left-networks.ts';
import { BridgeNetworks, type BridgeOptions } from './bridge-networks.ts';
import { bridgeRulesBy } from './bridge-rules.ts';

const machine = NetworkRig.enter();
after(() => machine[Symbol.dispose]());
const url = machine.serve();
const newDirectory = temporaryDirectories();
const request = { hostname: '', signal: new AbortController().signal };

const options = (more: Partial<BridgeOptions> = {}): BridgeOptions => ({
  directory: newDirectory(),
  name: 'kilntest0',
  subnet: '10.99.0.0/24',
  poolSize: 0,
  onProblem: (message) => assert.fail(message),
  ...more,
});

function ip(...args: readonly string[]): void {
  assert.equal(spawnSync('ip', args, { stdio: 'inherit' }).status, 0);
}

async function assertNothingLeft(): Promise<void> {
  await machine.untilOnly();
  assert.deepEqual(machine.rules(), []);
}

async function failureOf(work: Promise<unknown>): Promise<KilnError> {
  const error = await work.then(
    () => assert.fail('it succeeded'),
    (reason) => reason,
  );
  assert.ok(error instanceof KilnError, String(error));
  return error;
}

test('what is set up is as wide as the way out, and is all gone afterwards', async () => {
  const set = options();
  {
    await using networks = await BridgeNetworks.open(set);
    await using _network = await networks.take(request);
    const links = machine.links().map(({ name, mtu }) => [name, mtu]);
    assert.deepEqual(links.toSorted(), [
      ['kiln0a630002', 1400],
      ['kilntest0', 1400],
    ]);
    assert.ok(machine.rules().length > 5);
  }
  await assertNothingLeft();
  assert.deepEqual(readdirSync(set.directory), []);
});

for (const filter of ['iptables', 'nft'] as const) {
  test(`with rules by ${filter}, what is inside gets out, and nobody in`, async () => {
    {
      const rules = await bridgeRulesBy(filter);
      assert.ok(rules, `${filter} is not installed`);
      await using networks = await BridgeNetworks.open(options({ rules }));
      await using network = await networks.take(request);
      const ask = (where: string, seconds = 60) =>
        spawn('busybox', ['timeout', `${seconds}`, 'busybox', 'wget', '-q', '-O', '-', where], {
          stdio: ['ignore', 'pipe', 'ignore'],
        });
      const asked = network.namespace.run(() => ask(url));
      assert.equal(await text(asked.stdout), `you are ::ffff:${machine.machineAddress}\n`);

      const inside = createServer((socket) => socket.end('reached'));
      network.namespace.run(() => inside.listen(0));
      const { port } = inside.address() as AddressInfo;
      const [fromMachine, fromOutside] = [
        ask(`http://10.99.0.2:${port}`),
        machine.outside.run(() => {
          ip('route', 'add', '10.99.0.0/24', 'via', machine.machineAddress);
          return ask(`http://10.99.0.2:${port}`, 1);
        }),
      ];
      let reached = 0;
      inside.on('connection', () => reached++);
      await Promise.all([once(fromMachine, 'close'), once(fromOutside, 'close')]);
      assert.equal(reached, 1);
      inside.close();
      machine.outside.run(() => ip('route', 'delete', '10.99.0.0/24'));
    }
    await assertNothingLeft();
    assert.doesNotMatch(String(spawnSync('nft', ['list', 'ruleset']).stdout), /kiln/i);
  });
}

test('as many networks are kept ready as is wanted, and nobody gets one that another has had', async () => {
  {
    await using networks = await BridgeNetworks.open(options({ poolSize: 3 }));
    const taken: string[] = [];
    for (let round = 0; round < 8; round++) {
      await using network = await networks.take(request);
      const said = network.namespace.run(() => spawnSync('ip', ['-4', 'address', 'show', 'eth0']).stdout);
      taken.push(/inet (\S+)/.exec(String(said))![1]!);
    }
    assert.equal(new Set(taken).size, 8);
    // The bridge, and three ports.
    await machine.untilCount(4);
  }
  await assertNothingLeft();
});

test('two daemons can share a bridge and its addresses, whichever of them ends first', async () => {
  {
    await using second = new AsyncDisposableStack();
    {
      await using first = await BridgeNetworks.open(options());
      const networks = second.use(await BridgeNetworks.open(options()));
      await using _one = await first.take(request);
      second.use(await networks.take(request));
      assert.deepEqual(
        machine
          .links()
          .map(({ name }) => name)
          .toSorted(),
        ['kiln0a630002', 'kiln0a630003', 'kilntest0'],
      );
    }
    await machine.untilOnly('kiln0a630003', 'kilntest0');
    assert.ok(machine.rules().length > 5);
  }
  await assertNothingLeft();
});

test('a bridge that somebody took away is made again', async () => {
  {
    await using networks = await BridgeNetworks.open(options());
    ip('link', 'delete', 'kilntest0');
    await using _network = await networks.take(request);
    assert.equal(machine.links().length, 2);
  }
  await assertNothingLeft();
});

test('when all addresses are taken the error says so, and one that is given back can be had again', async () => {
  {
    await using networks = await BridgeNetworks.open(options({ subnet: '10.99.0.0/30' }));
    {
      await using _only = await networks.take(request);
      const error = await failureOf(networks.take(request));
      assert.equal(error.code, 'resource_exhausted');
      assert.match(error.message, /10\.99\.0\.0\/30 has no address left/);
    }
    for (let round = 0; round < 5; round++) {
      await using _again = await networks.take(request);
    }
  }
  await assertNothingLeft();
});

test('an interface of the same name that is not of Kiln stays as it is', async () => {
  ip('link', 'add', 'kilntest0', 'type', 'bridge');
  try {
    const error = await failureOf(BridgeNetworks.open(options()));
    assert.equal(error.code, 'failed_precondition');
    assert.match(`${error.message} ${error.hint}`, /kilntest0 exists .*bridgeName/);
    assert.equal(machine.links().length, 1);
    assert.deepEqual(machine.rules(), []);
  } finally {
    ip('link', 'delete', 'kilntest0');
  }
});

test('addresses to which the machine has a way are not taken from it', async () => {
  ip('route', 'add', '10.99.0.128/25', 'via', machine.outsideAddress);
  try {
    const error = await failureOf(BridgeNetworks.open(options()));
    assert.match(error.message, /10\.99\.0\.0\/24, overlaps 10\.99\.0\.128\/25, .* up0/);
  } finally {
    ip('route', 'delete', '10.99.0.128/25');
  }
  await assertNothingLeft();
});

for (const subnet of [
  '10.99.0.0',
  '10.99.0.0/31',
  '10.0.0.0/7',
  '10.256.0.0/16',
  'fd00::/64',
  '',
  '; drop',
]) {
  test(`${JSON.stringify(subnet)} is no subnet for steps`, async () => {
    const error = await failureOf(BridgeNetworks.open(options({ subnet })));
    assert.equal(error.code, 'invalid_argument');
    assert.match(error.message, /bridgeSubnet/);
    await assertNothingLeft();
  });
}

test('what a killed process left is gone after the next start, also when that has no bridge', async () => {
  const set = options({ poolSize: 2 });
  const script = `
    import { BridgeNetworks } from ${JSON.stringify(path.join(import.meta.dirname, 'bridge-networks.ts'))};
    const networks = await BridgeNetworks.open({ ...${JSON.stringify(set)}, onProblem: console.error });
    await networks.take({ hostname: '', signal: new AbortController().signal });
    console.log('up');
    setInterval(() => {}, 1000);
  `;
  const daemon = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(daemon.stdout, 'data');
  daemon.kill('SIGKILL');
  await once(daemon, 'exit');
  assert.ok(machine.links().some(({ name }) => name === 'kilntest0'));
  assert.ok(machine.rules().length > 5);

  assert.equal(await leftNetworks(set.directory), true);
  await removeLeftNetworks(set.directory, (message) => assert.fail(message));
  assert.equal(await leftNetworks(set.directory), false);
  await assertNothingLeft();
});

test('a note of a bridge that is not there, or names something else, does no harm', async () => {
  const { directory } = options();
  for (const note of ['', 'up0', 'no/such/name', 'x'.repeat(4000)]) {
    writeFileSync(path.join(directory, 'bridge'), note);
    await removeLeftNetworks(directory, () => {});
    assert.equal(spawnSync('ip', ['link', 'show', 'up0']).status, 0);
  }
});
