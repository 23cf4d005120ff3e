import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { KilnError } from '../base/errors.ts';
import { mountPointsBelow } from '../linux/mount-table.ts';
import { capabilitiesOfMask, defaultCapabilities } from './bundle/linux-capabilities.ts';
import type { ProcessMount, ProcessSpec } from './executor.ts';
import { ExecutorRig } from './executor-rig.ts';
import { createOciExecutor } from './oci-executor.ts';

/** The control groups that carry this container's id, in any hierarchy. */
function cgroupsOf(id: string): string[] {
  const roots = ['/sys/fs/cgroup', ...readdirSync('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)];
  return roots.map((root) => path.join(root, 'kiln', id)).filter((dir) => existsSync(dir));
}

function processesWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text);
      } catch {
        return false;
      }
    });
}

/** Everything that a finished run must not leave. */
function assertNothingLeft(rig: ExecutorRig, id: string): void {
  assert.deepEqual(mountPointsBelow(rig.dir), []);
  assert.deepEqual(cgroupsOf(id), []);
  assert.deepEqual(readdirSync(path.join(rig.dir, 'executor')), ['state']);
  assert.deepEqual(readdirSync(path.join(rig.dir, 'executor/state')), []);
}

async function failureOf(work: Promise<unknown>): Promise<KilnError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof KilnError, String(error));
    return error;
  }
  assert.fail('it succeeded');
}

for (const runtime of ['crun', 'runc']) {
  describe(`the OCI executor with ${runtime}`, () => {
    test('streams both outputs and leaves nothing behind', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const spec = rig.spec(['/bin/sh', '-c', 'echo out; echo err >&2; echo again > /dev/stdout']);
      assert.deepEqual(await rig.run(spec), { stdout: 'out\nagain\n', stderr: 'err\n' });
      assertNothingLeft(rig, spec.id);
    });

    test('delivers output while the process runs', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const gate = path.join(rig.dir, 'gate');
      mkdirSync(gate);
      const order: string[] = [];
      const script = 'echo first; until [ -e /gate/go ]; do sleep 0.01; done; echo second';
      const spec = rig.spec(['/bin/sh', '-c', script], {
        mounts: [
          {
            kind: 'tree',
            dest: '/gate',
            mount: { kind: 'bind', source: gate, readonly: false },
            selector: '',
            readonly: true,
          },
        ],
      });
      await rig.executor.run(spec, {
        signal: AbortSignal.timeout(20_000),
        onOutput: (_, data) => {
          order.push(Buffer.from(data).toString());
          writeFileSync(path.join(gate, 'go'), '');
        },
      });
      assert.deepEqual(order, ['first\n', 'second\n']);
    });

    test('passes megabytes of output through unchanged', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const text = await rig.sh('seq 1 300000');
      assert.equal(text.length, 1_988_895);
      assert.ok(text.endsWith('\n299999\n300000\n'));
    });

    test('reports the exit code', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const error = await failureOf(rig.sh('exit 7'));
      assert.equal(error.code, 'unknown');
      assert.match(error.message, /"\/bin\/sh -ec exit 7" did not complete successfully: exit code: 7/);
      assert.deepEqual(error.details, [{ kind: 'exit', code: 7 }]);
    });

    test('takes the exit codes that the process declares as success', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      await rig.sh('exit 7', { validExitCodes: [3, 7] });
      const error = await failureOf(rig.sh('exit 0', { validExitCodes: [3, 7] }));
      assert.deepEqual(error.details, [{ kind: 'exit', code: 0 }]);
    });

    test('reports the signal that ended a process', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const error = await failureOf(rig.sh('sh -c "kill -SEGV \\$\\$"; true'));
      assert.deepEqual(error.details, [{ kind: 'exit', code: 139, signal: 'SIGSEGV' }]);
    });

    test('reports an out-of-memory kill', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const spec = rig.spec(['/bin/dd', 'if=/dev/zero', 'of=/dev/null', 'bs=256M', 'count=1'], {
        resources: {
          memory: 32 << 20,
          memorySwap: 32 << 20,
          cpuShares: 0,
          cpuPeriod: 0,
          cpuQuota: 0,
          cpusetCpus: '',
          cpusetMems: '',
        },
      });
      const error = await failureOf(rig.run(spec));
      assert.deepEqual(error.details, [{ kind: 'exit', code: 137, signal: 'SIGKILL', oom: true }]);
      assert.match(error.message, /out of memory/);
      assertNothingLeft(rig, spec.id);
    });

    test('says that a command does not exist', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      for (const command of ['no-such-program', '/bin/no-such-program', './no-such-program']) {
        const spec = rig.spec([command]);
        const error = await failureOf(rig.run(spec));
        assert.equal(error.code, 'not_found');
        assert.ok(error.message.includes(`${command} not found`), error.message);
        assertNothingLeft(rig, spec.id);
      }
    });

    test('ends everything in the container when it is cancelled', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const marker = `${rig.dir.length}${process.hrtime.bigint()}`;
      const controller = new AbortController();
      const spec = rig.spec(['/bin/sh', '-c', `trap "" TERM; sleep ${marker} & echo up; sleep ${marker}`]);
      // Without the cancellation, both processes would sleep for years.
      const error = await failureOf(
        rig.executor.run(spec, {
          signal: controller.signal,
          onOutput: () => controller.abort(),
        }),
      );
      assert.equal(error.code, 'canceled');
      assert.deepEqual(processesWith(marker), []);
      assertNothingLeft(rig, spec.id);
    });

    test('can be cancelled at any moment of the start', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      for (let delay = 0; delay < 60; delay += 6) {
        const spec = rig.spec(['/bin/sleep', '1000']);
        const error = await failureOf(rig.run(spec, AbortSignal.timeout(delay)));
        assert.equal(error.code, 'canceled');
        assertNothingLeft(rig, spec.id);
      }
    });

    test('gives the default capabilities and no others', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const status = await rig.sh('cat /proc/self/status');
      const set = (name: string) =>
        capabilitiesOfMask(new RegExp(`^${name}:\\s*(\\w+)`, 'm').exec(status)![1]!).sort();
      assert.deepEqual(set('CapEff'), defaultCapabilities);
      assert.deepEqual(set('CapPrm'), defaultCapabilities);
      assert.deepEqual(set('CapBnd'), defaultCapabilities);
      assert.deepEqual(set('CapInh'), []);
      assert.deepEqual(set('CapAmb'), []);
    });

    test('filters system calls', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      assert.match(await rig.sh('grep Seccomp: /proc/self/status'), /Seccomp:\s+2/);
      // unshare(2) is no capability's matter for a user namespace: only the filter refuses it.
      assert.match(await rig.sh('/bin/busybox unshare -U true 2>&1 || true'), /Operation not permitted/);
    });

    test('keeps the kernel and the devices out of reach', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const output = await rig.sh(`
        try() { "$@" 2>&1 && echo "allowed: $*"; true; }
        try touch /proc/sys/kernel/hostname
        try sh -c 'echo x > /proc/sys/kernel/hostname'
        try sh -c 'echo b > /proc/sysrq-trigger'
        try mount -t tmpfs none /tmp
        try mkdir "$(ls -d /sys/fs/cgroup/memory || echo /sys/fs/cgroup)/escape"
        try sh -c 'echo x > /sys/kernel/profiling'
        try hostname other
        mknod /tmp/disk b 254 0
        try dd if=/tmp/disk of=/dev/null count=1
        cat /proc/kcore /proc/keys /proc/timer_list | head -c 1
        ls /sys/firmware
      `);
      assert.doesNotMatch(output, /allowed/);
      assert.match(output, /Operation not permitted|Permission denied|permission denied/);
    });

    test('has processes, names and network of its own', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const ownId = (kind: string) => statSync(`/proc/self/ns/${kind}`, { bigint: true }).ino.toString();
      const inside = await rig.sh(
        'for ns in pid ipc uts mnt net; do ls -iL /proc/self/ns/$ns; done; echo $$',
        {
          network: 'none',
        },
      );
      for (const kind of ['pid', 'ipc', 'uts', 'mnt', 'net']) assert.ok(!inside.includes(ownId(kind)), kind);
      assert.ok(inside.endsWith('\n1\n'));
    });

    test('has only a loopback interface, and that up, without a network', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const links = await rig.sh('ip -o link', { network: 'none' });
      assert.match(links, /^1: lo: <LOOPBACK,UP,LOWER_UP>[^\n]*\n$/);
    });

    test("shares the host's network by default", async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const inode = statSync('/proc/self/ns/net', { bigint: true }).ino.toString();
      assert.ok((await rig.sh('ls -iL /proc/self/ns/net')).includes(inode));
    });

    test('lets an insecure process do what the daemon may', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const output = await rig.sh(
        'grep -E "Seccomp:|CapEff" /proc/self/status; mount -t tmpfs none /tmp; ls /dev/kmsg /dev/loop0; touch /proc/sys/kernel/hostname && echo writable',
        { security: 'insecure' },
      );
      const own = /CapEff:\s*\w+/.exec(readFileSync('/proc/self/status', 'utf8'))![0];
      assert.match(output, /Seccomp:\s+0/);
      assert.ok(output.includes(own));
      assert.ok(output.endsWith('/dev/kmsg\n/dev/loop0\nwritable\n'), output);
    });

    test('supplies hosts and resolv.conf without a trace in the layer', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const rootfs = rig.overlay();
      const before = statSync(path.join(rig.base, 'etc'), { bigint: true }).mtimeNs;
      const output = await rig.sh('cat /etc/hosts; grep nameserver /etc/resolv.conf; hostname', {
        rootfs,
        hostname: 'builder',
        extraHosts: [{ host: 'db', ip: '10.1.2.3' }],
      });
      assert.match(
        output,
        /^127\.0\.0\.1\tlocalhost builder\n::1\t.*\n10\.1\.2\.3\tdb\nnameserver \S+\n(.*\n)*builder\n$/,
      );
      const left = readdirSync(rootfs.upperDir, { recursive: true });
      assert.deepEqual(
        left.filter((name) => name !== 'etc'),
        [],
      );
      assert.equal(statSync(path.join(rootfs.upperDir, 'etc'), { bigint: true }).mtimeNs, before);
    });

    test('has a name even if it is given none', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      assert.equal(await rig.sh('hostname'), 'buildkitsandbox\n');
    });

    test('removes empty mount points and keeps used ones', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const rootfs = rig.overlay();
      const tmpfs = (dest: string): ProcessMount => ({ kind: 'tmpfs', dest, size: 0 });
      await rig.sh('echo x > /deep/used/beside', {
        rootfs,
        mounts: [tmpfs('/deep/used/mount'), tmpfs('/other/mount'), tmpfs('/bin/../top')],
      });
      const left = readdirSync(rootfs.upperDir, { recursive: true }).filter((name) => name !== 'etc');
      assert.deepEqual(left.sort(), ['deep', 'deep/used', 'deep/used/beside']);
    });

    test('keeps the parents of mount points unless told to remove them', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const rootfs = rig.overlay();
      await rig.sh('true', {
        rootfs,
        removeMountStubsRecursive: false,
        mounts: [{ kind: 'tmpfs', dest: '/deep/mount', size: 0 }],
      });
      const left = readdirSync(rootfs.upperDir, { recursive: true }).filter((name) => name !== 'etc');
      assert.deepEqual(left, ['deep']);
    });

    test('leaves /proc, /dev and /sys in a tree that lacks them, as images expect', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      for (const name of ['proc', 'dev', 'sys']) rmdirSync(path.join(rig.base, name));
      const rootfs = rig.overlay();
      await rig.sh('true', { rootfs });
      const left = readdirSync(rootfs.upperDir, { recursive: true }).filter((name) => name !== 'etc');
      assert.deepEqual(left.sort(), ['dev', 'proc', 'sys']);
    });

    test('does not remove through a link that the process put in the way', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const rootfs = rig.overlay();
      mkdirSync(path.join(rig.dir, 'outside/mount'), { recursive: true });
      await rig.sh(`mkdir -p /new; ln -s ${rig.dir}/outside /stub-parent; ln -s /bin /new/link`, {
        rootfs,
        mounts: [{ kind: 'tmpfs', dest: '/stub/mount', size: 0 }],
      });
      assert.ok(existsSync(path.join(rig.dir, 'outside/mount')));
    });

    test('mounts trees, parts of trees and single files', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const tree = path.join(rig.dir, 'tree');
      mkdirSync(path.join(tree, 'sub'), { recursive: true });
      writeFileSync(path.join(tree, 'sub/file'), 'data\n');
      symlinkSync('/sub', path.join(tree, 'link'));
      symlinkSync('../../../../../etc', path.join(tree, 'escape'));
      const bind = { kind: 'bind', source: tree, readonly: false } as const;
      const lower = { kind: 'overlay', lowerDirs: [tree, rig.base] } as const;
      const mount = (
        dest: string,
        selector: string,
        source: typeof bind | typeof lower = bind,
      ): ProcessMount => ({
        kind: 'tree',
        dest,
        mount: source,
        selector,
        readonly: true,
      });
      const output = await rig.sh(
        'cat /a/sub/file /b/file /c /d/sub/file /d/etc/group; touch /b/x 2>&1 || true',
        {
          mounts: [mount('/a', ''), mount('/b', 'link'), mount('/c', '/sub/file'), mount('/d', '', lower)],
        },
      );
      assert.match(output, /^(data\n){4}root:x:0:\n/);
      assert.match(output, /Read-only file system/);
      const error = await failureOf(rig.sh('true', { mounts: [mount('/e', 'escape/passwd')] }));
      assert.equal(error.code, 'not_found');
      assert.match(error.message, /escape\/passwd does not exist in what is mounted at \/e/);
    });

    test('gives a secret as a file in memory', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const rootfs = rig.overlay();
      const data = Buffer.from('s3cret\n');
      const output = await rig.sh(
        'stat -c "%u %g %a" /run/secrets/key; stat -f -c %T /run/secrets/key; cat /run/secrets/key',
        { rootfs, mounts: [{ kind: 'file', dest: '/run/secrets/key', data, uid: 7, gid: 8, mode: 0o440 }] },
      );
      assert.equal(output, '7 8 440\ntmpfs\ns3cret\n');
      assert.deepEqual(readdirSync(rootfs.upperDir), ['etc']);
    });

    test('gives a tmpfs the mode of the directory that it covers, and of /tmp where there is none', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const tmpfs = (dest: string): ProcessMount => ({ kind: 'tmpfs', dest, size: 0 });
      const rootfs = rig.overlay();
      const tree = path.join(rig.dir, 'tree');
      for (const [dir, mode] of [
        [path.join(rootfs.upperDir, 'private'), 0o700],
        [path.join(rootfs.upperDir, 'group'), 0o2755],
        [tree, 0o755],
        [path.join(tree, 'inside'), 0o710],
      ] as const) {
        mkdirSync(dir);
        chmodSync(dir, mode);
      }
      symlinkSync('/private', path.join(rootfs.upperDir, 'link'));
      const bind = { kind: 'bind', source: tree, readonly: false } as const;
      const output = await rig.sh(
        'stat -c "%n %a %u %g" /private /group /new/one /dev/shm /bound/inside /bound/other',
        {
          rootfs,
          mounts: [
            { kind: 'tree', dest: '/bound', mount: bind, selector: '', readonly: false },
            ...['/private', '/group', '/new/one', '/dev/shm', '/bound/inside', '/bound/other'].map(tmpfs),
          ],
        },
      );
      assert.deepEqual(output.trim().split('\n'), [
        '/private 700 0 0',
        '/group 2755 0 0',
        '/new/one 1777 0 0',
        '/dev/shm 1777 0 0',
        '/bound/inside 710 0 0',
        '/bound/other 1777 0 0',
      ]);
      assert.equal(
        await rig.sh('stat -c "%n %a" /private', { rootfs, mounts: [tmpfs('/link')] }),
        '/private 700\n',
      );
    });

    test('limits a tmpfs to its size', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const output = await rig.sh('dd if=/dev/zero of=/big/x bs=1M count=3 2>&1 || true', {
        mounts: [{ kind: 'tmpfs', dest: '/big', size: 1 << 20 }],
      });
      assert.match(output, /No space left/);
    });

    test('runs as users and groups by name and by number', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const id = async (user: string) =>
        (await rig.sh('echo $(id -u) $(id -g) $(id -G) $HOME', { user })).trim();
      assert.equal(await id(''), '0 0 0 10 /root');
      assert.equal(await id('app'), '1000 1001 1001 10 2000 /home/app');
      assert.equal(await id('1000'), '1000 1001 1001 10 2000 /home/app');
      assert.equal(await id('app:extra'), '1000 2000 2000 /home/app');
      assert.equal(await id('4321:1234'), '4321 1234 1234 /');
      const error = await failureOf(id('nobody'));
      assert.equal(error.code, 'not_found');
      assert.match(error.message, /nobody/);
    });

    test('lets a user without rights write to its standard output by name', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      assert.equal(await rig.sh('echo named > /dev/stdout', { user: 'app' }), 'named\n');
    });

    test('makes the working directory for the user', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      assert.equal(
        await rig.sh('pwd; stat -c %u . ..', { cwd: '/work/deep', user: 'app' }),
        '/work/deep\n1000\n1000\n',
      );
    });

    test('sets the limits asked for', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const ulimits: ProcessSpec['ulimits'] = [
        { name: 'nofile', soft: 123, hard: 456 },
        { name: 'core', soft: -1, hard: -1 },
      ];
      assert.equal(await rig.sh('ulimit -n; ulimit -Hn; ulimit -c', { ulimits }), '123\n456\nunlimited\n');
    });

    test('keeps a read-only root read-only, also one that cannot be written at all', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const script = 'touch /x 2>&1 || true; cat /etc/hosts';
      assert.match(await rig.sh(script, { readonlyRoot: true }), /Read-only file system\n127\.0\.0\.1/);
      const rootfs = { kind: 'overlay', lowerDirs: [rig.base] } as const;
      assert.match(
        await rig.sh(script, { readonlyRoot: true, rootfs }),
        /Read-only file system\n127\.0\.0\.1/,
      );
      assert.deepEqual(readdirSync(rig.base).sort(), ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp']);
    });

    test('runs in a plain directory', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      await rig.sh('echo x > /made', { rootfs: { kind: 'bind', source: rig.base, readonly: false } });
      assert.deepEqual(readdirSync(rig.base).sort(), ['bin', 'dev', 'etc', 'made', 'proc', 'sys', 'tmp']);
      assert.deepEqual(readdirSync(path.join(rig.base, 'etc')).sort(), ['group', 'passwd']);
    });

    test('runs twenty at once', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const outputs = await Promise.all(
        Array.from({ length: 20 }, (_, index) => rig.sh(`echo ${index}; sleep 0.05`)),
      );
      assert.deepEqual(
        outputs.map((text) => text.trim()),
        Array.from({ length: 20 }, (_, index) => String(index)),
      );
      assert.deepEqual(mountPointsBelow(rig.dir), []);
    });

    test('removes what a killed daemon left', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const script = `
        import { ExecutorRig } from ${JSON.stringify(path.join(import.meta.dirname, 'executor-rig.ts'))};
        const rig = await ExecutorRig.create({ runtime: ${JSON.stringify(runtime)} });
        await rig.executor.run(rig.spec(['/bin/sh', '-c', 'echo up; sleep 98765'], { cgroupParent: 'kiln-test' }), {
          signal: new AbortController().signal,
          onOutput: () => console.log(rig.dir),
        });
      `;
      const daemon = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = await once(daemon.stdout, 'data');
      const dir = String(line).trim();
      daemon.kill('SIGKILL');
      await once(daemon, 'exit');
      assert.notDeepEqual(mountPointsBelow(dir), []);

      const executor = await createOciExecutor({ root: path.join(dir, 'executor'), runtime });
      await executor.recover();
      assert.deepEqual(mountPointsBelow(dir), []);
      assert.deepEqual(readdirSync(path.join(dir, 'executor')), ['state']);
      assert.deepEqual(processesWith('sleep\x0098765'), []);
      rig.adopt(dir);
      for (const root of readdirSync('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)) {
        for (const parent of ['kiln-test/kiln', 'kiln-test']) {
          if (existsSync(path.join(root, parent))) rmdirSync(path.join(root, parent));
        }
      }
    });
  });
}

test('an executor that is closed ends what runs, for whom nobody waits, and leaves nothing', async () => {
  await using rig = await ExecutorRig.create();
  const executor = await createOciExecutor({ root: path.join(rig.dir, 'executor') });
  const spec = rig.spec(['sh', '-c', 'echo up; sleep 1000']);
  const io = { signal: new AbortController().signal, onOutput: () => started.resolve() };
  const started = Promise.withResolvers<void>();
  const run = failureOf(executor.run(spec, io));
  await started.promise;
  await executor[Symbol.asyncDispose]();
  assertNothingLeft(rig, spec.id);
  assert.equal((await run).code, 'canceled');
  assert.equal((await failureOf(executor.run(rig.spec(['true']), io))).code, 'canceled');
});

test('without a runtime a process does not run, and the error says what to install', async () => {
  await using rig = await ExecutorRig.create({ runtime: 'no-such-runtime' });
  const error = await failureOf(rig.sh('true'));
  assert.equal(error.code, 'failed_precondition');
  assert.match(error.hint ?? '', /apt-get install crun/);
});
