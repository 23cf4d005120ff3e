import assert from 'node:assert/strict';
import { cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { foreignBusybox } from '../base/testing/foreign-busybox.ts';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { BridgeNetworks } from '../network/bridge/bridge-networks.ts';
import { NetworkRig } from '../network/network-rig.ts';
import { Conversation } from './conversation-rig.ts';
import { createRunnablePlatforms } from './emulation/runnable-platforms.ts';
import { ExecutorRig } from './executor-rig.ts';

// The machine's own network stays as it is: all of this happens in another.
const machine = NetworkRig.enter();
const newDirectory = temporaryDirectories();
const url = machine.serve();
machine.serveNames('outside.test');
machine.serveNames('outside.test', '127.0.0.52');
const dns = { nameservers: [machine.outsideAddress], searchDomains: [], options: [] };
const bridgeName = 'buildkit0';
let networks: BridgeNetworks;
const resources = new AsyncDisposableStack();

before(async () => {
  resources.use(machine);
  networks = resources.use(
    await BridgeNetworks.open({
      directory: newDirectory(),
      name: bridgeName,
      subnet: '10.10.0.0/16',
      poolSize: 0,
      onProblem: (message) => assert.fail(message),
    }),
  );
});

after(async () => {
  await resources.disposeAsync();
  await machine.untilOnly();
  assert.deepEqual(machine.rules(), []);
});

for (const runtime of ['crun', 'runc']) {
  describe(`a step with a network of its own, by ${runtime}`, () => {
    const open = () => ExecutorRig.create({ runtime, sandboxNetwork: networks, dns });

    test('reaches what is outside of the machine, by name and with the address of the machine', async () => {
      await using rig = await open();
      const script = `busybox wget -q -O - ${url}; busybox wget -q -O - ${url.replace(machine.outsideAddress, 'outside.test')}`;
      assert.equal(await rig.sh(script), `you are ::ffff:${machine.machineAddress}\n`.repeat(2));
      await machine.untilOnly(bridgeName);
    });

    test('finds out names by the servers of the machine, also if only the machine reaches these', async () => {
      const resolvConf = path.join(newDirectory(), 'resolv.conf');
      writeFileSync(resolvConf, 'nameserver 127.0.0.51\nnameserver 127.0.0.52\nsearch test\n');
      await using rig = await ExecutorRig.create({ runtime, sandboxNetwork: networks, resolvConf });
      const script = `cat /etc/resolv.conf; busybox wget -q -O - ${url.replace(machine.outsideAddress, 'outside')}`;
      assert.equal(
        await rig.sh(script),
        `nameserver 127.0.0.11\nsearch test\nyou are ::ffff:${machine.machineAddress}\n`,
      );
      assert.match(await rig.sh('cat /etc/resolv.conf', { network: 'host' }), /^nameserver 127\.0\.0\.51\n/);
    });

    test('has its loopback and one interface, which its /sys shows, and no more of the machine', async () => {
      await using rig = await open();
      assert.equal(await rig.sh('ls /sys/class/net'), 'eth0\nlo\n');
      assert.match(await rig.sh('ip link show lo; ip -4 address show eth0'), /LOOPBACK,UP.*inet 10\.10\./s);
    });

    test('is as reachable by its own name as any other, and knows the hosts that it was given', async () => {
      await using rig = await open();
      const hosts = await rig.sh('cat /etc/hosts; hostname', {
        hostname: 'step',
        extraHosts: [{ host: 'other', ip: '192.0.2.7' }],
      });
      assert.equal(
        hosts,
        '127.0.0.1\tlocalhost step\n::1\tlocalhost ip6-localhost ip6-loopback\n192.0.2.7\tother\nstep\n',
      );
    });

    test('another process in its container has the same network', async () => {
      await using rig = await open();
      const spec = rig.spec(['sh', '-c', 'ip -4 address show eth0 | grep inet; read line']);
      const first = Conversation.run(rig, spec);
      const other = new Conversation(
        (io) =>
          rig.executor.exec(
            spec.id,
            {
              args: ['sh', '-c', `ip -4 address show eth0 | grep inet`],
              env: ['PATH=/bin'],
              cwd: '/',
              user: '',
            },
            io,
          ),
        { input: undefined },
      );
      await other.ended;
      first.type('end\n');
      await first.ended;
      assert.match(first.said, /inet 10\.10\./);
      assert.equal(other.said, first.said);
    });

    test('one for which an emulator runs has it, too, and a /sys that shows it', async () => {
      const { program, platform } = foreignBusybox();
      const platforms = createRunnablePlatforms({ directory: newDirectory(), probe: async () => [] });
      await using rig = await ExecutorRig.create({ runtime, sandboxNetwork: networks, platforms });
      cpSync(program, path.join(rig.base, 'bin/busybox'));
      const script = `ls /sys/class/net; busybox wget -q -O - ${url}`;
      assert.equal(
        await rig.sh(script, { platform }),
        `eth0\nlo\nyou are ::ffff:${machine.machineAddress}\n`,
      );
    });

    test('one that wants the network of the host, or none, gets that', async () => {
      await using rig = await open();
      const script = 'cat /proc/net/dev | grep -o "^ *[a-z0-9]*:"; cat /etc/resolv.conf';
      assert.match(await rig.sh(script, { network: 'host' }), /up0:/);
      assert.doesNotMatch(await rig.sh(script, { network: 'none' }), /up0:|eth0:/);
    });

    test('a canceled one leaves nothing', async () => {
      await using rig = await open();
      const canceled = new AbortController();
      const spec = rig.spec(['sh', '-c', 'echo up; sleep 1000']);
      await assert.rejects(
        rig.executor.run(spec, { signal: canceled.signal, onOutput: () => canceled.abort() }),
        { code: 'canceled' },
      );
      await machine.untilOnly(bridgeName);
    });

    test('fifty at once each have theirs, and nothing is left of them', async () => {
      await using rig = await open();
      const addresses = await Promise.all(
        Array.from({ length: 50 }, async () => {
          const said = await rig.sh(
            `busybox wget -q -O /dev/null ${url}; ip -4 address show eth0 | grep -o "inet [0-9.]*"`,
          );
          return said.trim();
        }),
      );
      assert.equal(new Set(addresses).size, 50, addresses.join());
      await machine.untilOnly(bridgeName);
    });
  });
}

test('a step cannot have the machine send to it what is for another', async () => {
  await using rig = await ExecutorRig.create({ sandboxNetwork: networks });
  const script =
    'busybox httpd -p 80; ip -4 address show eth0 | grep -o "inet [0-9.]*"; echo waiting; read line';
  const victim = Conversation.run(rig, rig.spec(['sh', '-c', script]));
  while (!victim.said.includes('waiting')) await new Promise((resolve) => setImmediate(resolve));
  const address = /inet ([0-9.]+)/.exec(victim.said)?.[1];
  const ask = () => fetch(`http://${address}/`, { signal: AbortSignal.timeout(20_000) });
  assert.equal((await ask()).status, 404);
  const known = () => machine.neighbors(bridgeName);
  const before = known();
  assert.match(before, new RegExp(`^${address} lladdr 0a:6b:\\S+ PERMANENT`, 'm'));

  // Neither by saying that it has the address of the other, though it may do all in its network, nor by having the other's hardware address.
  const claim = `ip address add ${address}/16 dev eth0 && busybox arping -q -A -c 2 -I eth0 ${address}`;
  const hardware = /lladdr (\S+)/.exec(before)![1];
  const disguise = `ip link set eth0 down && ip link set eth0 address ${hardware} && ip link set eth0 up`;
  for (const attack of [claim, disguise]) {
    await rig.sh(`${attack}; busybox timeout 1 busybox nc -w 1 10.10.0.1 9 || true`, {
      security: 'insecure',
    });
    assert.equal((await ask()).status, 404);
  }

  victim.type('end\n');
  await victim.ended;
  assert.doesNotMatch(known(), /PERMANENT/);
});

test('steps do not reach each other, neither by the bridge nor by way of the machine, though they may do all in their networks', async () => {
  await using rig = await ExecutorRig.create({ sandboxNetwork: networks });
  const script =
    'busybox httpd -p 80; ip -4 address show eth0 | grep -o "inet [0-9.]*"; echo waiting; read line';
  const server = Conversation.run(rig, rig.spec(['sh', '-c', script]));
  while (!server.said.includes('waiting')) await new Promise((resolve) => setImmediate(resolve));
  const address = /inet ([0-9.]+)/.exec(server.said)?.[1];
  // It says that there is no such file, if it can be reached.
  const ask = (who: string) => `busybox wget -q -O - http://${who}/ 2>&1 | grep 404`;
  assert.match(await rig.sh(`busybox httpd -p 80; ${ask('127.0.0.1')}`), /404/);
  const inVain = `! busybox timeout 1 ${ask(String(address))}`;
  const by = (gateway: string) => `ip route add ${address} via ${gateway} && ${inVain}`;
  await Promise.all([rig.sh(inVain), rig.sh(by('10.10.0.1'), { security: 'insecure' })]);
  server.type('end\n');
  await server.ended;
});
