import assert from 'node:assert/strict';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import { foreignBusybox } from '../../base/testing/foreign-busybox.ts';
import { mount } from '../../linux/mount.ts';
import { mountFlags } from '../../linux/mount-flags.ts';
import { mountPointsBelow } from '../../linux/mount-table.ts';
import type { ProcessMount, ProcessSpec } from '../executor.ts';
import { ExecutorRig } from '../executor-rig.ts';
import { architectures } from './architecture.ts';
import { registration } from './emulated-container.ts';
import { probeMachine } from './probe-machine.ts';
import { createRunnablePlatforms } from './runnable-platforms.ts';

const { program, platform, machine } = foreignBusybox();

/** A machine on which no emulator is registered, whatever this one has. */
const unregistered = createRunnablePlatforms({ directory: '/tmp', probe: async () => [] });

/** Its base tree has programs of another architecture only. */
async function foreignRig(runtime: string): Promise<ExecutorRig> {
  const rig = await ExecutorRig.create({ runtime, platforms: unregistered });
  const busybox = path.join(rig.base, 'bin/busybox');
  rmSync(busybox);
  cpSync(program, busybox);
  for (const name of ['uname', 'chown', 'readlink', 'su'])
    symlinkSync('busybox', path.join(rig.base, 'bin', name));
  return rig;
}

const sh = (rig: ExecutorRig, script: string, more: Partial<ProcessSpec> = {}) =>
  rig.sh(script, { platform, ...more });

for (const runtime of ['crun', 'runc']) {
  describe(`a container with an emulator, by ${runtime}`, () => {
    test('runs foreign programs, also those that they start, and native ones among them', async () => {
      await using rig = await foreignRig(runtime);
      cpSync('/bin/busybox', path.join(rig.base, 'bin/busybox-native'));
      writeFileSync(path.join(rig.base, 'bin/script'), '#!/bin/sh\necho "$0 $1"\n', { mode: 0o755 });
      const output = await sh(
        rig,
        `uname -m; echo $0; sh -c 'env true && /bin/busybox uname -m'; script one; /bin/busybox-native sh -c 'echo native; /bin/uname -m'`,
      );
      assert.equal(output, `${machine}\n/bin/sh\n${machine}\n/bin/script one\nnative\n${machine}\n`);
    });

    test('has the ids, the user and the rights of one without', async () => {
      await using rig = await foreignRig(runtime);
      const rootfs = rig.overlay();
      const script =
        'touch /f; chown 1234:4321 /f; chmod 4755 /f; mkdir /d; id; mount -t tmpfs x /d || echo refused';
      assert.equal(
        await sh(rig, script, { rootfs }),
        'uid=0(root) gid=0(root) groups=0(root),10(wheel)\nrefused\n',
      );
      const made = statSync(path.join(rootfs.upperDir, 'f'));
      assert.deepEqual([made.uid, made.gid, made.mode & 0o7777], [1234, 4321, 0o4755]);
      assert.match(await sh(rig, 'id', { user: 'app' }), /^uid=1000\(app\) gid=1001\(apps\)/);
    });

    test('has what is mounted for it, and cannot write where others cannot', async () => {
      await using rig = await foreignRig(runtime);
      const cache = path.join(rig.dir, 'cache');
      mkdirSync(cache);
      const output = await sh(
        rig,
        'cat /secret; echo kept > /cache/f; echo x > /ro/f || echo read-only; echo x > /sys/f || echo read-only; ls /sys | head -1; hostname',
        {
          mounts: [
            { kind: 'file', dest: '/secret', data: Buffer.from('word\n'), uid: 0, gid: 0, mode: 0o400 },
            {
              kind: 'tree',
              dest: '/cache',
              mount: { kind: 'bind', source: cache, readonly: false },
              selector: '/',
              readonly: false,
            },
            {
              kind: 'tree',
              dest: '/ro',
              mount: { kind: 'bind', source: cache, readonly: true },
              selector: '/',
              readonly: true,
            },
            { kind: 'tmpfs', dest: '/scratch', size: 1 << 20 },
          ],
        },
      );
      assert.equal(output, 'word\nread-only\nread-only\nblock\nbuildkitsandbox\n');
      assert.equal(statSync(path.join(cache, 'f')).size, 5);
    });

    test('has what is mounted from where a mount is restricted', async () => {
      await using rig = await foreignRig(runtime);
      const source = path.join(rig.dir, 'restricted');
      mkdirSync(source);
      const { nosuid, nodev, noexec } = mountFlags;
      mount({ source: 'tmpfs', target: source, type: 'tmpfs', flags: nosuid | nodev | noexec });
      writeFileSync(path.join(source, 'f'), 'there\n');
      const tree: ProcessMount = {
        kind: 'tree',
        dest: '/ro',
        mount: { kind: 'bind', source, readonly: true },
        selector: '/',
        readonly: true,
      };
      assert.equal(await sh(rig, 'cat /ro/f', { mounts: [tree] }), 'there\n');
    });

    test('runs without a network, and with all rights that a build can give', async () => {
      await using rig = await foreignRig(runtime);
      assert.equal(await sh(rig, 'ls /sys/class/net', { network: 'none' }), 'lo\n');
      const script = 'uname -m; mount -t tmpfs x /tmp; ls /dev/null';
      assert.equal(await sh(rig, script, { security: 'insecure' }), `${machine}\n/dev/null\n`);
    });

    test('writes to no file of the host, whatever links and mounts lead there', async () => {
      await using rig = await foreignRig(runtime);
      const victim = path.join(rig.dir, 'victim');
      const formats = path.join(victim, '.kiln_binfmt_misc');
      const file = path.join(formats, 'register');
      mkdirSync(formats, { recursive: true });
      writeFileSync(file, 'untouched');
      const over = (dest: string, source: string): ProcessMount => ({
        kind: 'tree',
        dest,
        mount: { kind: 'bind', source, readonly: false },
        selector: '/',
        readonly: false,
      });
      await assert.rejects(sh(rig, 'true', { mounts: [over('/dev', victim)] }));
      await assert.rejects(sh(rig, 'true', { mounts: [over('/dev/.kiln_binfmt_misc', formats)] }));
      rmSync(path.join(rig.base, 'dev'), { recursive: true, force: true });
      symlinkSync(victim, path.join(rig.base, 'dev'));
      await assert.rejects(sh(rig, 'true'));
      assert.equal(readFileSync(file, 'utf8'), 'untouched');
    });

    test('registers nothing with the machine, whatever link leads to its formats', async () => {
      await using rig = await foreignRig(runtime);
      const outside = path.join(rig.dir, 'outside');
      const formats = path.join(outside, '.kiln_binfmt_misc');
      mkdirSync(formats, { recursive: true });
      mount({ source: 'binfmt_misc', target: formats, type: 'binfmt_misc', flags: 0 });
      const before = readdirSync(formats);
      rmSync(path.join(rig.base, 'dev'), { recursive: true, force: true });
      symlinkSync(outside, path.join(rig.base, 'dev'));
      try {
        await assert.rejects(sh(rig, 'true'));
        assert.deepEqual(readdirSync(formats), before);
      } finally {
        const added = readdirSync(formats).filter((name) => !before.includes(name));
        for (const name of added) writeFileSync(path.join(formats, name), '-1');
      }
    });

    test('leaves nothing registered and nothing mounted', async () => {
      await using rig = await foreignRig(runtime);
      const foreign = architectures.filter(({ name }) => name === platform.architecture);
      const before = await probeMachine(rig.dir, foreign);
      assert.equal(await sh(rig, 'uname -m'), `${machine}\n`);
      await assert.rejects(sh(rig, 'exit 3'), { message: /exit code: 3/ });
      assert.deepEqual(await probeMachine(rig.dir, foreign), before);
      assert.deepEqual(mountPointsBelow(rig.dir), []);
      const tree = rig.overlay();
      await sh(rig, 'true', { rootfs: tree });
      assert.throws(() => statSync(path.join(tree.upperDir, 'dev/.kiln_binfmt_misc')), { code: 'ENOENT' });
    });

    test('ends when it is told to', async () => {
      await using rig = await foreignRig(runtime);
      const ending = new AbortController();
      const run = rig.executor.run(rig.spec(['/bin/sh', '-c', 'echo up; sleep 1000 & wait'], { platform }), {
        signal: ending.signal,
        onOutput: () => ending.abort(),
      });
      await assert.rejects(run, { code: 'canceled' });
      assert.deepEqual(mountPointsBelow(rig.dir), []);
    });
  });
}

test('the registration goes by the header of the program alone, and takes any path', () => {
  const architecture = architectures.find(({ name }) => name === 's390x')!;
  assert.equal(
    registration({ architecture, program: '/opt/a:b/qemu' }),
    String.raw`|kiln-s390x|M||\x7f\x45\x4c\x46\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x16|\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xfe\xff\xff|/opt/a:b/qemu|PCF`,
  );
});

test('without an emulator a step says which one to install before it starts, but runs what the machine can', async () => {
  const platforms = {
    list: async () => [],
    wayToRun: async (wanted: { readonly architecture: string }) =>
      wanted.architecture === platform.architecture
        ? ({ kind: 'impossible', reason: 'no emulator', hint: 'install it' } as const)
        : ({ kind: 'direct' } as const),
  };
  await using rig = await ExecutorRig.create({ platforms });
  cpSync(program, path.join(rig.base, 'bin/foreign'));
  writeFileSync(path.join(rig.base, 'bin/foreign-script'), '#! /bin/foreign sh\n', { mode: 0o755 });
  assert.equal(await sh(rig, 'echo native'), 'native\n');
  for (const name of ['foreign', '/bin/foreign', 'foreign-script']) {
    await assert.rejects(rig.run(rig.spec([name, 'uname'], { platform })), (error: KilnError) => {
      assert.ok(error instanceof KilnError);
      assert.equal(error.code, 'failed_precondition');
      assert.equal(
        error.message,
        `cannot run "${name} uname" for linux/${platform.architecture}: no emulator`,
      );
      assert.equal(error.hint, 'install it');
      return true;
    });
  }
  await assert.rejects(rig.run(rig.spec(['missing'], { platform })), { code: 'not_found' });
});
