import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { mustRun } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** What `RUN --device` needs: a file that describes the device, and something of the host to show. */
function describeDevice(directory: string, more = ''): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}/library`, 'a driver\n');
  writeFileSync(
    `${directory}/printer.yaml`,
    `cdiVersion: "0.7.0"
kind: example.com/printer
containerEdits:
  env: [DRIVER=/usr/lib/driver]
devices:
- name: laser
  containerEdits:
    env: [PRINTER=laser]
    additionalGids: [77]
    deviceNodes:
    - path: /dev/printer
      hostPath: /dev/null
    mounts:
    - hostPath: ${directory}/library
      containerPath: /usr/lib/driver
      options: [ro, bind]
- name: matrix
  annotations:
    org.mobyproject.buildkit.device.class: loud
    org.mobyproject.buildkit.device.autoallow: true
  containerEdits:
    env: [PRINTER=matrix]
${more}`,
  );
}

describe('devices', () => {
  const rig = suiteRig(async (resources) => {
    const files = resources.use(new WorkDirectory());
    const specs = files.at('cdi');
    describeDevice(specs);
    writeFileSync(files.at('kilnd.toml'), `[cdi]\nspecDirs = ["${specs}"]\n`);
    return { ...(await openDaemon(resources, { args: ['--config', files.at('kilnd.toml')] })), specs };
  });

  /** A context whose one step has this flag. */
  const step = (device: string, script: string) =>
    rig.work.tree({
      Dockerfile: `# syntax=docker/dockerfile:1-labs\nFROM base\nRUN --device=${device} ${script}\n`,
    });
  const laser = 'example.com/printer=laser';

  test('are there for the step that asks, with all that their file says, and gone from what it makes', async () => {
    const script =
      '(echo $DRIVER $PRINTER; cat $DRIVER; echo gone > /dev/printer; stat -c %t,%T /dev/printer; id -G) > /said';
    const context = step(`${laser},required`, script);
    const { bytes } = await rig.kiln.build(context, ['--allow', 'device', '-o', 'type=tar,dest=-']);
    const { stdout: said } = await mustRun('tar', ['-xOf', '-', 'said'], { input: bytes });
    assert.equal(said, '/usr/lib/driver laser\na driver\n1,3\n0 77\n');
    const { stdout: names } = await mustRun('tar', ['-tf', '-'], { input: bytes });
    assert.doesNotMatch(names, /driver|printer/);
  });

  test('have to be allowed by the build, all or by name, unless they allow themselves', async () => {
    const context = step(laser, 'echo $PRINTER > /said');
    const { stderr } = await rig.kiln.failingBuild(context);
    assert.match(stderr, /device example\.com\/printer=laser is requested by the build but not allowed/);
    assert.match(stderr, /--allow device=example\.com\/printer=laser/);
    assert.match(stderr, /3 \| >>> RUN --device/);
    assert.equal(await rig.kiln.textOf('said', context, ['--allow', `device=${laser}`]), 'laser\n');
    assert.equal(await rig.kiln.textOf('said', step('loud', 'echo $PRINTER > /said')), 'matrix\n');
  });

  test('may go by another name in the build', async () => {
    const context = step('any-printer,required', 'echo $PRINTER > /said');
    const allow = ['--allow', `device=${laser},alias=any-printer`];
    assert.equal(await rig.kiln.textOf('said', context, allow), 'laser\n');
  });

  test('that are not there fail the step that requires them, and no other', async () => {
    const { stderr } = await rig.kiln.failingBuild(step('example.com/none,required', 'true'));
    assert.match(stderr, /required device "example\.com\/none" is not registered/);
    assert.match(stderr, /3 \| >>> RUN --device/);
    const all = await rig.kiln.failingBuild(step('example.com/none,required', 'true'), ['--allow', 'device']);
    assert.match(all.stderr, /required device "example\.com\/none" is not registered/);
    assert.equal(await rig.kiln.textOf('said', step('example.com/none', 'echo ran > /said')), 'ran\n');
  });

  test('count for the cache by their names, and optional ones that are not there do not', async () => {
    const script = 'head -c 9 /dev/urandom | od -An -tx1 > /said';
    const plain = rig.work.tree({ Dockerfile: `FROM base\nRUN ${script}\n` });
    const first = await rig.kiln.textOf('said', plain);
    assert.equal(await rig.kiln.textOf('said', step('example.com/none', script)), first);
    const loud = await rig.kiln.textOf('said', step('loud', script));
    assert.notEqual(loud, first);
    assert.equal(await rig.kiln.textOf('said', step('example.com/printer=matrix', script)), loud);
  });

  test('are shown to clients, as their files are now', async () => {
    const shown = async () => (await rig.kiln.must(['debug', 'workers', '--verbose'])).stdout;
    assert.match(
      await shown(),
      /Devices:\n\s+Name:\s+example\.com\/printer=laser\n\s+AutoAllow:\s+false\n\s+Name:\s+example\.com\/printer=matrix\n\s+AutoAllow:\s+true\n/,
    );
    describeDevice(rig.specs, '- name: dot\n  containerEdits: {env: [A=1]}\n');
    assert.match(await shown(), /Name:\s+example\.com\/printer=dot/);
    describeDevice(rig.specs);
    assert.doesNotMatch(await shown(), /printer=dot/);
  });

  test('of a file that is no good are told of in the log of the daemon, and the others stay', async () => {
    writeFileSync(`${rig.specs}/bad.json`, '{"kind": 1');
    const { stdout } = await rig.kiln.must(['debug', 'workers', '--format', '{{json .}}']);
    const [worker] = JSON.parse(stdout) as { cdiDevices: { name: string; autoAllow: boolean }[] }[];
    assert.deepEqual(
      worker!.cdiDevices.map(({ name, autoAllow }) => [name, autoAllow]),
      [
        [laser, false],
        ['example.com/printer=matrix', true],
      ],
    );
    await rig.daemon.process.said(`cannot use the CDI file ${rig.specs}/bad.json`);
    rmSync(`${rig.specs}/bad.json`);
    assert.equal(readFileSync(`${rig.specs}/library`, 'utf8'), 'a driver\n');
  });
});

test('a daemon has the devices of the directories that it is told, or none', async () => {
  using work = new WorkDirectory();
  describeDevice(work.at('a/b'));
  const workers = async (args: readonly string[]) => {
    await using daemon = await Daemon.start({ args });
    const { stdout } = await daemon.kiln.must(['debug', 'workers', '--verbose']);
    const context = work.tree({ Dockerfile: 'FROM base\nRUN true\n' });
    const { code, stderr } = await daemon.kiln.run(['build', '--allow', 'device', context]);
    return { stdout, code, stderr };
  };
  const directory = ['--cdi-spec-dir', work.at('none'), '--cdi-spec-dir', work.at('a/b')];
  assert.match((await workers(directory)).stdout, /printer=laser/);
  const { stdout, stderr } = await workers([...directory, '--cdi-disabled']);
  assert.doesNotMatch(stdout, /Devices/);
  assert.match(stderr, /entitlement device is not allowed by the daemon/);
});
