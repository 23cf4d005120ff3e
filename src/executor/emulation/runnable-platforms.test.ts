import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { formatPlatform, hostPlatform, parsePlatform } from '../../base/platform.ts';
import { temporaryDirectories } from '../../base/testing/temporary-directories.ts';
import { architectures } from './architecture.ts';
import { amd64Level } from './cpu-level.ts';
import { registration } from './emulated-container.ts';
import { findEmulator } from './emulator.ts';
import { probeMachine } from './probe-machine.ts';
import { createRunnablePlatforms } from './runnable-platforms.ts';

const newDirectory = temporaryDirectories();
const foreign = process.arch === 'arm64' ? 'amd64' : 'arm64';

test('the machine runs its own programs, whatever else', async () => {
  const found = (await probeMachine(newDirectory())).map(({ name }) => name);
  assert.ok(found.includes(hostPlatform().architecture), found.join());
});

test('an emulator that is registered with the kernel counts if it runs programs in any file tree', async () => {
  const architecture = architectures.find(({ name }) => name === foreign)!;
  const emulator = (await findEmulator(architecture))!;
  const line = registration(emulator);
  const script = `
    import { probeMachine } from ${JSON.stringify(path.join(import.meta.dirname, 'probe-machine.ts'))};
    const found = await probeMachine(${JSON.stringify(newDirectory())});
    console.log(found.some(({ name }) => name === ${JSON.stringify(foreign)}));
  `;
  /** With formats that only the namespace of this command has. */
  const foundWith = (format: string) => {
    const commands =
      'mount -t binfmt_misc none /mnt && printf %s "$1" > /mnt/register && exec "$2" --input-type=module -e "$3"';
    const { stdout, stderr } = spawnSync(
      'unshare',
      ['--user', '--map-root-user', '--mount', 'sh', '-c', commands, 'sh', format, process.execPath, script],
      { encoding: 'utf8' },
    );
    return stdout.trim() || stderr;
  };
  assert.equal(foundWith(line), 'true');
  // The emulator would have to be in the file tree of each step.
  assert.equal(foundWith(line.replace(/PCF$/, 'PC')), 'false');
});

test('what is listed is what runs by the processor, by the kernel, or by an installed emulator, the own platform first', async () => {
  const platforms = createRunnablePlatforms({ directory: newDirectory() });
  const names = (await platforms.list()).map(formatPlatform);
  assert.equal(names[0], formatPlatform(hostPlatform()));
  assert.equal(new Set(names).size, names.length);
  for (const name of [`linux/${foreign}`, 'linux/riscv64', 'linux/s390x', 'linux/arm/v7', 'linux/arm/v6']) {
    assert.ok(names.includes(name), `${name} in ${names.join()}`);
  }
});

test('what is registered with the kernel is preferred to what is installed', async () => {
  const wanted = parsePlatform(`linux/${foreign}`);
  const registered = createRunnablePlatforms({
    directory: newDirectory(),
    probe: async () => architectures.filter(({ name }) => name === foreign),
  });
  assert.deepEqual(await registered.wayToRun(wanted), { kind: 'direct' });
  const installed = createRunnablePlatforms({ directory: newDirectory(), probe: async () => [] });
  const way = await installed.wayToRun(wanted);
  assert.equal(way.kind === 'emulated' && way.emulator.architecture.name, foreign);
});

test('another system, an unknown architecture and a missing level of the processor are told apart', async () => {
  const platforms = createRunnablePlatforms({ directory: newDirectory(), probe: async () => [] });
  const reason = async (text: string) => {
    const way = await platforms.wayToRun(parsePlatform(text));
    return way.kind === 'impossible' ? way.reason : way.kind;
  };
  assert.equal(await reason('windows/amd64'), 'this machine runs linux, not windows');
  assert.equal(await reason('linux/sparc'), 'no emulator is known for linux/sparc');
  if (hostPlatform().architecture === 'amd64') {
    assert.match(
      await reason('linux/amd64/v9'),
      /^no support for running processes with linux\/amd64\/v9 platform, supported: linux\/amd64/,
    );
  }
});

test('an emulator that is not there is named, with the package that has it', async () => {
  const platforms = createRunnablePlatforms({
    directory: newDirectory(),
    probe: async () => [],
    emulator: async () => undefined,
  });
  assert.deepEqual(await platforms.wayToRun(parsePlatform('linux/riscv64')), {
    kind: 'impossible',
    reason:
      'no emulator for linux/riscv64: qemu-riscv64-static is not installed, and none is registered with the kernel',
    hint: 'install it: apt-get install qemu-user-static',
  });
});

test('a level of x86-64 counts if the processor has all that it adds', () => {
  const cpu = (flags: string) => `processor\t: 0\nflags\t\t: fpu ${flags}\nbugs\t\t:\n`;
  const second = 'cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3';
  const third = `${second} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave`;
  assert.equal(amd64Level(cpu('')), 1);
  assert.equal(amd64Level(cpu(second)), 2);
  assert.equal(amd64Level(cpu(third)), 3);
  assert.equal(amd64Level(cpu(third.replace('movbe ', ''))), 2);
  assert.equal(amd64Level(cpu(`${third} avx512f avx512bw avx512cd avx512dq avx512vl`)), 4);
  assert.equal(amd64Level(''), 1);
});

test('a build that asks for what was found last starts no check that it would compete with; one follows', async (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'] });
  let checks = 0;
  const platforms = createRunnablePlatforms({
    directory: newDirectory(),
    probe: async () => {
      checks++;
      return [];
    },
  });
  await platforms.list('last');
  assert.equal(checks, 1);
  t.mock.timers.tick(11_000);
  await platforms.list('last');
  await platforms.list('last');
  assert.equal(checks, 1);
  t.mock.timers.tick(1_000);
  assert.equal(checks, 2);
  t.mock.timers.tick(11_000);
  await platforms.list();
  assert.equal(checks, 3);
});
