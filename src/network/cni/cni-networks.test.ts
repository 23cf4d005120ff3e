import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { KilnError } from '../../base/errors.ts';
import { temporaryDirectories } from '../../base/testing/temporary-directories.ts';
import { mountPointsBelow } from '../../linux/mount-table.ts';
import { leftNetworks } from '../left-networks.ts';
import { NetworkRig } from '../network-rig.ts';
import { removeLeftNetworks } from '../remove-left-networks.ts';
import type { StepNetwork } from '../step-networks.ts';
import { CniNetworks, type CniOptions } from './cni-networks.ts';

const machine = NetworkRig.enter();
after(() => machine[Symbol.dispose]());
const url = machine.serve();
const newDirectory = temporaryDirectories();
const request = { hostname: '', signal: new AbortController().signal };
/** Where Debian has them. */
const installed = '/usr/lib/cni';

const never = (message: string) => assert.fail(message);

/** Writes a configuration; by default plugins are those that are installed. */
function options(document: unknown, more: Partial<CniOptions> = {}): CniOptions {
  const directory = newDirectory();
  const configFile = path.join(newDirectory(), 'net.conflist');
  writeFileSync(configFile, typeof document === 'string' ? document : JSON.stringify(document));
  return { directory, configFile, programs: installed, poolSize: 0, onProblem: never, ...more };
}

/** A bridge of the plugins, with NAT. `dataDir` is where addresses in use are written down. */
function bridge(dataDir: string): object {
  return {
    cniVersion: '1.0.0',
    name: 'test-net',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cnitest0',
        isDefaultGateway: true,
        ipMasq: true,
        ipam: { type: 'host-local', dataDir, ranges: [[{ subnet: '10.98.0.0/24' }]] },
      },
      { type: 'firewall', backend: 'iptables' },
    ],
  };
}

/** Files of addresses that are in use. */
function addressesIn(dataDir: string): readonly string[] {
  const directory = path.join(dataDir, 'test-net');
  return existsSync(directory) ? readdirSync(directory).filter((name) => /^10\./.test(name)) : [];
}

async function assertNothingLeft({ directory }: CniOptions, dataDir: string): Promise<void> {
  assert.deepEqual(addressesIn(dataDir), []);
  assert.deepEqual(mountPointsBelow(directory), []);
  assert.equal(await leftNetworks(directory), false);
  await machine.untilOnly('cnitest0');
  const rules = String(spawnSync('iptables-save').stdout).split('\n');
  assert.deepEqual(
    rules.filter((rule) => /10\.98\.0/.test(rule)),
    [],
  );
}

async function asksOutside({ namespace }: StepNetwork): Promise<string> {
  const asked = namespace.run(() => spawn('busybox', ['wget', '-q', '-O', '-', url]));
  return await text(asked.stdout);
}

async function failureOf(work: Promise<unknown>): Promise<KilnError> {
  const error = await work.then(
    () => assert.fail('it succeeded'),
    (reason) => reason,
  );
  assert.ok(error instanceof KilnError, String(error));
  return error;
}

describe('networks of the plugins that Debian has', () => {
  test('lead outside, also several at a time, and are taken back', async () => {
    const dataDir = newDirectory();
    const set = options(bridge(dataDir));
    {
      await using networks = await CniNetworks.open(set);
      await using several = new AsyncDisposableStack();
      const taken = await Promise.all([1, 2, 3].map(() => networks.take(request)));
      for (const network of taken) several.use(network);
      assert.equal(addressesIn(dataDir).length, 3);
      for (const network of taken) {
        assert.equal(await asksOutside(network), `you are ::ffff:${machine.machineAddress}\n`);
      }
    }
    await assertNothingLeft(set, dataDir);
  });

  test('are made in advance where that is wanted', async () => {
    const dataDir = newDirectory();
    const set = options(bridge(dataDir), { poolSize: 2 });
    {
      await using networks = await CniNetworks.open(set);
      while (addressesIn(dataDir).length < 2) await pause(10);
      await using network = await networks.take(request);
      assert.match(await asksOutside(network), /^you are/);
      // The end comes while another is being made.
    }
    await assertNothingLeft(set, dataDir);
  });

  test('are made to the end and taken back when the step is canceled meanwhile', async () => {
    const dataDir = newDirectory();
    const set = options(bridge(dataDir));
    {
      await using networks = await CniNetworks.open(set);
      const canceled = new AbortController();
      const taken = Array.from({ length: 8 }, () =>
        failureOf(networks.take({ hostname: '', signal: canceled.signal })),
      );
      while (addressesIn(dataDir).length === 0) await pause(1);
      canceled.abort();
      for (const { code } of await Promise.all(taken)) assert.equal(code, 'canceled');
    }
    await assertNothingLeft(set, dataDir);
  });

  test('are taken back at the next start if the process was killed', async () => {
    const dataDir = newDirectory();
    const set = options(bridge(dataDir));
    const script = `
      import { CniNetworks } from ${JSON.stringify(path.join(import.meta.dirname, 'cni-networks.ts'))};
      const networks = await CniNetworks.open({ ...${JSON.stringify(set)}, onProblem: console.error });
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
    assert.equal(addressesIn(dataDir).length, 1);
    assert.equal(await leftNetworks(set.directory), true);
    await removeLeftNetworks(set.directory, never);
    await assertNothingLeft(set, dataDir);
  });

  test('may be made by a single plugin', async () => {
    const dataDir = newDirectory();
    const [plugin] = (bridge(dataDir) as { readonly plugins: readonly object[] }).plugins;
    const set = options({ cniVersion: '0.3.1', name: 'test-net', ...plugin });
    {
      await using networks = await CniNetworks.open(set);
      await using network = await networks.take(request);
      assert.match(await asksOutside(network), /^you are/);
    }
    await assertNothingLeft(set, dataDir);
  });
});

/** Plugins that are shell scripts, which write down how they are called. */
class Plugins {
  readonly programs = newDirectory();
  readonly #log = path.join(newDirectory(), 'calls');

  add(name: string, script: string): this {
    const note = 'echo "$CNI_COMMAND $(basename "$0") $CNI_IFNAME $CNI_ARGS $(cat)" >> "$LOG"';
    const file = path.join(this.programs, name);
    writeFileSync(file, `#!/bin/sh\nLOG=${this.#log}\n${note}\n${script}\n`);
    chmodSync(file, 0o755);
    return this;
  }

  calls(): readonly string[] {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8').trim().split('\n') : [];
  }

  /** Options for a list of them. */
  listed(
    names: readonly string[],
    more: Partial<CniOptions> & { readonly cniVersion?: string } = {},
  ): CniOptions {
    const { cniVersion = '1.0.0', ...rest } = more;
    const list = { cniVersion, name: 'n', plugins: names.map((type) => ({ type, own: type })) };
    return options(list, { programs: this.programs, ...rest });
  }
}

const good = `[ $CNI_COMMAND = DEL ] || echo '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}]}'`;

describe('plugins', () => {
  test('are called in order and told the result of those before, and in reverse order at the end', async () => {
    const plugins = new Plugins().add('a', good).add('b', good.replace('10.0.0.2', '10.0.0.3'));
    const set = plugins.listed(['a', 'b']);
    {
      await using networks = await CniNetworks.open(set);
      await using _network = await networks.take(request);
    }
    const first = '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}]}';
    const last = first.replace('10.0.0.2', '10.0.0.3');
    const told = (type: string, result: string) =>
      `{"type":"${type}","own":"${type}","name":"n","cniVersion":"1.0.0"${result && `,"prevResult":${result}`}}`;
    assert.deepEqual(plugins.calls(), [
      `ADD a eth0  ${told('a', '')}`,
      `ADD b eth0  ${told('b', first)}`,
      `DEL b eth0  ${told('b', last)}`,
      `DEL a eth0  ${told('a', last)}`,
    ]);
    assert.equal(await leftNetworks(set.directory), false);
  });

  test('of versions before 0.4.0 are not told results at the end', async () => {
    const plugins = new Plugins().add('a', good);
    {
      await using networks = await CniNetworks.open(plugins.listed(['a'], { cniVersion: '0.3.1' }));
      await using _network = await networks.take(request);
    }
    assert.doesNotMatch(plugins.calls().join('\n'), /prevResult/);
  });

  test('are told the name that a step asks for, unless it is more than a name', async () => {
    const plugins = new Plugins().add('a', good);
    {
      await using networks = await CniNetworks.open(plugins.listed(['a']));
      for (const hostname of ['step-1.test', 'x;IP=10.0.0.1', 'x=y', 'a b', '']) {
        await using _network = await networks.take({ ...request, hostname });
      }
    }
    const args = plugins
      .calls()
      .filter((call) => call.startsWith('ADD'))
      .map((call) => /eth0 (.*?) ?\{/.exec(call)![1]);
    assert.deepEqual(args, ['IgnoreUnknown=1;K8S_POD_NAME=step-1.test', '', '', '', '']);
  });

  for (const [what, script, said] of [
    [
      'fails',
      `echo '{"code":7,"msg":"no room","details":"at all"}'; exit 1`,
      /a failed \(ADD\): no room; at all$/,
    ],
    ['fails without a word', 'exit 3', /a failed \(ADD\): exit code 3$/],
    ['ends by a signal', 'kill -9 $$', /a failed \(ADD\): signal 9$/],
    ['says too much', 'yes', /the CNI plugin a: a wrote more than 1048576 bytes$/],
    ['says nothing', 'exit 0', /a gave a result that cannot be used: it is not a JSON object$/],
    ['says something else', 'echo "[]"', /it is not a JSON object$/],
    ['nests without end', `head -c 100000 /dev/zero | tr '\\0' '['`, /it is not a JSON object$/],
    ['names no addresses', `echo '{"ips":[{"address":"10.0.0.999/8"}]}'`, /its ips are no addresses$/],
    ['names no prefix', `echo '{"ips":[{"address":"10.0.0.9"}]}'`, /its ips are no addresses$/],
    ['would steer a terminal', `printf '\\033]0;x\\007bad' >&2; exit 1`, /a failed \(ADD\): \]0;x bad$/],
    ['does not end', 'sleep 1000', /the CNI plugin a: a took more than 0\.5 seconds$/],
  ] as const) {
    test(`one that ${what} is an error that says so, and all are told to take back what they did`, async () => {
      const plugins = new Plugins()
        .add('first', good)
        .add('a', `[ $CNI_COMMAND = DEL ] && exit 0; ${script}`);
      const set = plugins.listed(['first', 'a'], what === 'does not end' ? { milliseconds: 500 } : {});
      {
        await using networks = await CniNetworks.open(set);
        const error = await failureOf(networks.take(request));
        assert.match(error.message, said);
      }
      const calls = plugins.calls().map((call) => call.split(' ', 2).join(' '));
      assert.deepEqual(calls, ['ADD first', 'ADD a', 'DEL a', 'DEL first']);
      assert.equal(await leftNetworks(set.directory), false);
      assert.deepEqual(mountPointsBelow(set.directory), []);
    });
  }

  test('a canceled step does not wait for its plugins', async () => {
    const plugins = new Plugins().add('a', '[ $CNI_COMMAND = DEL ] && exit 0; sleep 1000');
    const set = plugins.listed(['a'], { milliseconds: 500 });
    {
      await using networks = await CniNetworks.open(set);
      const canceled = new AbortController();
      const taken = failureOf(networks.take({ hostname: '', signal: canceled.signal }));
      while (plugins.calls().length === 0) await pause(10);
      canceled.abort();
      assert.equal((await taken).code, 'canceled');
    }
    assert.equal(plugins.calls().length, 2);
    assert.equal(await leftNetworks(set.directory), false);
  });

  test('one that does not take back its part is told so once more, at the next start', async () => {
    const plugins = new Plugins().add('a', `[ $CNI_COMMAND = DEL ] && exit 1; ${good}`);
    const problems: string[] = [];
    const set = plugins.listed(['a'], { onProblem: (message) => problems.push(message) });
    {
      await using networks = await CniNetworks.open(set);
      await using _network = await networks.take(request);
    }
    assert.match(problems.join('\n'), /cannot take back .* a failed \(DEL\): exit code 1/);
    assert.deepEqual(mountPointsBelow(set.directory), []);
    assert.equal(await leftNetworks(set.directory), true);
    plugins.add('a', good);
    await removeLeftNetworks(set.directory, never);
    assert.equal(plugins.calls().filter((call) => call.startsWith('DEL')).length, 2);
    assert.equal(await leftNetworks(set.directory), false);
  });
});

test('what a killed process has written down in part does no harm', async () => {
  const directory = newDirectory();
  for (const [index, note] of [
    '',
    '{',
    'null',
    '{}',
    '{"network":{"plugins":[{}]},"programs":"","args":""}',
  ].entries()) {
    const place = path.join(directory, 'cni', `x${index}`);
    mkdirSync(place, { recursive: true });
    writeFileSync(path.join(place, 'attachment.json'), note);
  }
  mkdirSync(path.join(directory, 'cni/nothing'));
  await removeLeftNetworks(directory, () => {});
  assert.equal(await leftNetworks(directory), false);
});

for (const [document, said] of [
  ['', /Unexpected end/],
  ['null', /not an object/],
  ['{}', /no name/],
  ['{"name":"../x"}', /no name/],
  ['{"name":"n","plugins":[]}', /names no plugins/],
  ['{"name":"n","plugins":[{}]}', /no type/],
  ['{"name":"n","plugins":[{"type":"../../bin/sh"}]}', /no type/],
  ['{"name":"n","plugins":[{"type":".."}]}', /no type/],
  ['{"name":"n","cniVersion":1,"plugins":[{"type":"bridge"}]}', /cniVersion/],
  ['{"name":"n","plugins":[{"type":"no-such-plugin"}]}', /\/usr\/lib\/cni\/no-such-plugin is not installed/],
  ['['.repeat(100_000), /nested/],
  [`{"name":"${'n'.repeat(2 ** 20)}"}`, /more than 1048576 bytes/],
] as const) {
  test(`the configuration ${document.slice(0, 60)} is refused`, async () => {
    const error = await failureOf(CniNetworks.open(options(document)));
    assert.ok(['invalid_argument', 'failed_precondition'].includes(error.code), error.code);
    assert.match(error.message, said);
  });
}

test('a configuration that is not there is named', async () => {
  const error = await failureOf(CniNetworks.open({ ...options({}), configFile: '/no/such.conflist' }));
  assert.match(error.message, /cannot read the CNI configuration \/no\/such\.conflist/);
});
