import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { MountSchema, MountType, NetMode, SecurityMode } from '../../src/api/gen/ops_pb.js';
import { deferred } from '../../src/base/async/lifetime.ts';
import { files, local, scratch } from '../../src/llb/llb.ts';
import { whatIsLeft } from '../failures/what-is-left.ts';
import { Daemon } from '../rig/daemon.ts';
import { eventually } from '../rig/eventually.ts';
import { runningProcesses } from '../rig/running-processes.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { base, GatewayClient } from './gateway-client.ts';

/** Nothing of a client's containers is there once its build has ended. */
async function leavesNothing(root: string): Promise<void> {
  await eventually(
    () => whatIsLeft(root).length === 0,
    () => whatIsLeft(root),
  );
}

for (const runtime of ['crun', 'runc']) {
  describe(`containers of a client of the gateway, by ${runtime}`, () => {
    const rig = suiteRig(async (resources) => {
      const allowed = ['network.host', 'security.insecure'].flatMap((name) => [
        '--allow-insecure-entitlement',
        name,
      ]);
      const args = ['--oci-worker-binary', runtime, ...allowed];
      return await openDaemon(resources, { args });
    });

    test('run processes together, each with input, output and a code of its own', async () => {
      await using client = await GatewayClient.open(rig.daemon.address);
      await client.container('one', base);
      const call = client.exec();
      const first = call.start('one', ['sh', '-c', 'cat; exit 3'], { fds: [0, 1] });
      const second = call.start('one', ['sh', '-c', 'cat >/tmp/file; echo done >&2'], { fds: [0, 1, 2] });
      await first.started;
      second.type('into the file');
      second.type('', true);
      assert.deepEqual(await second.ended, { code: 0, message: '', status: 0 });
      assert.deepEqual(second.said, { 1: '', 2: 'done\n' });
      const third = call.start('one', ['sh', '-c', 'cat /tmp/file; echo unseen >&2; exit 40'], { fds: [1] });
      const { code, message } = await third.ended;
      assert.equal(code, 40);
      assert.match(message, /did not complete successfully: exit code: 40/);
      assert.deepEqual(third.said, { 1: 'into the file', 2: '' });
      first.type('to the first', true);
      assert.equal((await first.ended).code, 3);
      assert.equal(first.said[1], 'to the first');
      const late = await call.start('one', ['true']).ended;
      assert.match(late.message, /the container has ended/);
      call.close();
      await call.ended;
      await client.finish();
      await leavesNothing(rig.daemon.root);
    });

    test('have mounts of every kind', async () => {
      const directory = rig.work.tree({ 'of-the-client': 'local', secret: 'hidden' });
      const socket = path.join(directory, 'agent.sock');
      const agent = net.createServer().listen(socket);
      try {
        await using client = await GatewayClient.open(rig.daemon.address, {
          locals: new Map([['context', directory]]),
          secrets: [{ id: 'word', kind: 'file', path: path.join(directory, 'secret') }],
          ssh: [{ id: 'default', paths: [socket], raw: false }],
        });
        const [written, context] = await Promise.all([
          client.solve(scratch().file(files().mkdir('/in', 0o755).mkfile('/in/file', 0o600, 'text'))),
          client.solve(local('context')),
        ]);
        const mounts = [
          { dest: '/written', resultId: written, selector: 'in' },
          { dest: '/context', resultId: context, readonly: true },
          { dest: '/cache', type: MountType.CACHE, cache: { id: `gateway-${runtime}` } },
          { dest: '/memory', type: MountType.TMPFS },
          { dest: '/run/word', type: MountType.SECRET, secret: { id: 'word', mode: 0o400 } },
          { dest: '/run/agent', type: MountType.SSH, ssh: { id: 'default', mode: 0o600 } },
          { dest: '/run/none', type: MountType.SECRET, secret: { id: 'none', optional: true } },
        ];
        await client.container('one', base, mounts);
        const script =
          'cat /written/file /context/of-the-client /run/word; echo new >/written/file; echo kept >>/cache/file; test -S /run/agent; test ! -e /run/none; grep -c " /memory tmpfs" /proc/mounts; echo "$WORD"; ! touch /context/x';
        const first = client.exec().start('one', ['sh', '-ec', script], {
          secretEnv: [{ id: 'word', name: 'WORD' }],
        });
        assert.deepEqual(await first.ended, { code: 0, message: '', status: 0 }, JSON.stringify(first.said));
        assert.equal(first.said[1], 'textlocalhidden1\nhidden\n');
        const read = async (mountIndex: number, file: string) =>
          Buffer.from(
            (await client.bridge.readFileContainer({ ref: 'one', path: file, mountIndex }, client.call)).data,
          ).toString();
        assert.equal(await read(1, '/in/file'), 'new\n');
        assert.equal(await read(2, '/of-the-client'), 'local');
        assert.equal(await read(3, '/file'), 'kept\n');
        await assert.rejects(read(4, '/'), {
          code: 'failed_precondition',
          message: /tmpfs mount at \/memory/,
        });
        await assert.rejects(read(8, '/'), { code: 'invalid_argument', message: /out of bounds/ });
        // What was written to a result is the container's alone, and what is in a cache is everybody's.
        await client.bridge.releaseContainer({ containerId: 'one' }, client.call);
        await client.container('two', base, [mounts[0]!, mounts[2]!]);
        const second = client.exec().start('two', ['cat', '/written/file', '/cache/file']);
        await second.ended;
        assert.equal(second.said[1], 'textkept\n');
      } finally {
        agent.close();
      }
      await leavesNothing(rig.daemon.root);
    });

    test('show their files before a process begins, while it runs and after it has ended', async () => {
      await using client = await GatewayClient.open(rig.daemon.address);
      await client.container('one', base);
      const { bridge, call } = client;
      const names = async (directory: string) =>
        (await bridge.readDirContainer({ ref: 'one', path: directory }, call)).entries.map(
          ({ path: name }) => name,
        );
      assert.deepEqual(await names('/tmp'), []);
      const exec = client.exec();
      const script =
        'cd /tmp; echo first >file; ln -s file near; ln -s /etc/passwd far; ln -s ../../../../etc/hostname out; mkfifo pipe; echo ready; read line';
      const process = exec.start('one', ['sh', '-ec', script], { fds: [0, 1] });
      await process.hears('ready');
      const stat = async (file: string) =>
        (await bridge.statFileContainer({ ref: 'one', path: file }, call)).stat!;
      const read = async (file: string, range?: { offset: bigint; length: bigint }) =>
        Buffer.from(
          (await bridge.readFileContainer({ ref: 'one', path: file, range }, call)).data,
        ).toString();
      assert.deepEqual(await names('/tmp'), ['far', 'file', 'near', 'out', 'pipe']);
      assert.equal(await read('/tmp/near', { offset: 1n, length: 3n }), 'irs');
      assert.match(await read('/tmp/far'), /^root:/);
      const [near, far] = [await stat('/tmp/near'), await stat('/tmp/far')];
      assert.deepEqual([near.path, near.size, near.linkname], ['near', 6n, '']);
      assert.deepEqual([far.path, far.linkname], ['far', '/etc/passwd']);
      // A link out of the tree leads to its root, as for the process.
      await assert.rejects(read('/tmp/out'), (error: Error & { code: string }) => {
        assert.notEqual(readFileSync('/etc/hostname', 'utf8'), '');
        return error.code === 'not_found' || error.code === 'invalid_argument';
      });
      await assert.rejects(read('/tmp/pipe'), { code: 'invalid_argument', message: /not a regular file/ });
      await assert.rejects(read('tmp/file'), { code: 'invalid_argument', message: /relative to \// });
      process.type('end\n', true);
      await process.ended;
      assert.equal(await read('/tmp/file'), 'first\n');
      const { entries } = await bridge.readDirContainer(
        { ref: 'one', path: '/tmp', includePattern: 'f*' },
        call,
      );
      assert.deepEqual(
        entries.map(({ path: name }) => name),
        ['far', 'file'],
      );
      await client.finish();
    });

    test('have terminals that are typed at, change size, and pass signals on', async () => {
      await using client = await GatewayClient.open(rig.daemon.address);
      await client.container('one', base);
      const call = client.exec();
      // crun gives other processes the size of their terminal while they begin: that signal must not end the reading of the line.
      const script =
        'trap "exit 9" USR1; echo "$TERM"; read line; trap "stty size" WINCH; echo "got $line"; while true; do sleep 0.1; done';
      const first = call.start('one', ['sh', '-c', script], { fds: [0, 1, 2], tty: true });
      await first.hears('xterm\r\n');
      const second = call.start('one', ['sh', '-c', script], { fds: [0, 1, 2], tty: true });
      await second.hears('xterm\r\n');
      for (const process of [second, first]) {
        process.type('hello\n');
        await process.hears('got hello\r\n');
        process.resize(33, 101);
        await process.hears('33 101');
        process.signal('USR1');
        assert.equal((await process.ended).code, 9);
      }
      const unknown = client.exec();
      const process = unknown.start('one', ['true']);
      process.signal('NONE');
      await assert.rejects(unknown.ended, { code: 'invalid_argument', message: /Unknown signal NONE/ });
    });

    test('have the hosts, network, security and search path that were asked for, if they are allowed', async () => {
      await using client = await GatewayClient.open(rig.daemon.address, {
        entitlements: ['security.insecure'],
      });
      const call = client.exec();
      const extraHosts = [{ host: 'some.host', ip: '169.254.11.22' }];
      await client.container('one', base, [], { extraHosts, hostname: 'named', network: NetMode.NONE });
      const first = call.start('one', [
        'sh',
        '-c',
        'grep -c "169.254.11.22.some.host" /etc/hosts; hostname; ls /sys/class/net; echo $PATH',
      ]);
      await first.ended;
      const [found, hostname, ...rest] = first.said[1].trim().split('\n');
      assert.deepEqual(
        [found, hostname, rest.at(-1)],
        ['1', 'named', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      );
      assert.ok(
        rest.slice(0, -1).every((name) => name === 'lo'),
        rest.join(),
      );
      await client.container('host', base, [], { network: NetMode.HOST });
      const refused = await call.start('host', ['true']).ended;
      assert.deepEqual([refused.code, refused.message], [255, 'network.host is not allowed']);
      const capabilities = ['sh', '-c', 'grep CapEff /proc/self/status'];
      const seen: string[] = [];
      for (const security of [SecurityMode.SANDBOX, SecurityMode.INSECURE]) {
        await client.container(`mode ${security}`, base);
        const process = call.start(`mode ${security}`, capabilities, { security });
        assert.equal((await process.ended).code, 0);
        seen.push(process.said[1].trim().split('\t')[1]!);
      }
      assert.equal(seen[0], '00000000a80425fb');
      assert.notEqual(seen[1], seen[0]);
      const invalid = await call.start('one', ['true'], { security: 2 }).ended;
      assert.match(invalid.message, /invalid security mode/);
      await client.container('windows', base, [], { platform: { os: 'windows' } });
      const other = call.start('windows', ['/bin/sh', '-c', 'echo $PATH']);
      await other.ended;
      assert.match(other.said[1], /^c:\\Windows\\System32;/);
      await client.finish();
    });

    test('end when they are released, while processes run that do not want to', async () => {
      await using client = await GatewayClient.open(rig.daemon.address);
      await client.container('one', base);
      const call = client.exec();
      const script = 'trap "" HUP TERM INT; (trap "" HUP TERM; sleep 1000) & echo ready; sleep 1000';
      const processes = [1, 2, 3].map(() => call.start('one', ['sh', '-c', script], { fds: [0, 1] }));
      for (const process of processes) await process.hears('ready');
      await assert.rejects(client.bridge.releaseContainer({ containerId: 'one' }, client.call), {
        code: 'canceled',
        message: /context canceled/,
      });
      for (const process of processes) {
        const { status, message } = await process.ended;
        assert.equal(status, 1, message);
        assert.match(message, /context canceled/);
      }
      await leavesNothing(rig.daemon.root);
      const after = await call.start('one', ['true']).ended;
      assert.match(after.message, /previously released or not created/);
      await assert.rejects(client.bridge.releaseContainer({ containerId: 'one' }, client.call), {
        code: 'not_found',
      });
      await client.container('one', base);
      await assert.rejects(client.container('one', base), { code: 'already_exists' });
      await client.finish();
      await leavesNothing(rig.daemon.root);
    });

    test('end with a client that vanishes in the middle of a process', async () => {
      const client = await GatewayClient.open(rig.daemon.address);
      await client.container('one', base, [{ dest: '/cache', type: MountType.CACHE, cache: { id: 'gone' } }]);
      const call = client.exec();
      const process = call.start('one', ['sh', '-c', 'echo ready; sleep 1000'], { fds: [0, 1], tty: true });
      await process.hears('ready');
      await client.leave();
      await assert.rejects(process.ended);
      await assert.rejects(client.solved);
      await leavesNothing(rig.daemon.root);
    });

    test('lose the processes of a call that ends, and nothing else', async () => {
      await using client = await GatewayClient.open(rig.daemon.address);
      await client.container('one', base);
      const [staying, ending] = [client.exec(), client.exec()];
      const first = staying.start('one', ['sh', '-c', 'echo ready; read line; echo "got $line"'], {
        fds: [0, 1],
      });
      await first.hears('ready\n');
      const other = ending.start('one', ['sh', '-c', 'echo ready; exec sleep 1000'], { fds: [0, 1] });
      await other.hears('ready');
      ending.abort();
      await assert.rejects(other.ended);
      const sleeping = async () => {
        const look = staying.start('one', ['sh', '-c', 'cat /proc/[0-9]*/comm']);
        await look.ended;
        return look.said[1].split('\n').includes('sleep');
      };
      await eventually(
        async () => !(await sleeping()),
        () => 'it sleeps',
      );
      first.type('still here\n', true);
      assert.equal((await first.ended).code, 0);
      assert.equal(first.said[1], 'got still here\n');
    });

    test('wait for a client that does not read a terminal, without holding more than a little of it', async () => {
      await using client = await GatewayClient.open(rig.daemon.address);
      await client.container('one', base);
      const call = client.exec();
      const gate = deferred<void>();
      const process = call.start(
        'one',
        ['sh', '-c', 'echo ready; read line; head -c 30000000 /dev/zero | tr "\\0" x; echo "last one"'],
        {
          fds: [0, 1],
          tty: true,
        },
      );
      await process.hears('ready');
      const before = residentBytes(rig.daemon.process.pid);
      call.pause(gate.promise);
      process.type('go\n');
      const written = await eventually(
        async () =>
          (await standsStill('head -c 30000000 /dev/zero')) && residentBytes(rig.daemon.process.pid),
        () => residentBytes(rig.daemon.process.pid),
      );
      assert.ok(written - before < 20_000_000, `${written - before} bytes more`);
      gate.resolve();
      call.pause(Promise.resolve());
      assert.equal((await process.ended).code, 0);
      assert.equal(process.said[1].match(/x/g)?.length, 30_000_000);
      assert.match(process.said[1], /last one\r\n$/);
    });

    test('say once that an output ends, however often it was asked for', async () => {
      await using client = await GatewayClient.open(rig.daemon.address);
      await client.container('one', base);
      const value = { containerId: 'one', meta: { args: ['true'] }, fds: [2, 1, 7, 1, 2, 1, 7] };
      const requests = async function* () {
        yield { processId: 'many', body: { case: 'init', value } } as const;
      };
      const said: unknown[] = [];
      for await (const { body } of client.bridge.execProcess(requests(), client.call)) {
        said.push(body.case === 'file' ? [body.value.fd, body.value.eof] : body.case);
      }
      assert.deepEqual(said, ['started', [1, true], [2, true], 'exit', 'done']);
    });

    test('a process that does not read its input holds up neither its own signals nor other processes', async () => {
      await using client = await GatewayClient.open(rig.daemon.address);
      await client.container('one', base);
      const call = client.exec();
      const deaf = call.start('one', ['sleep', '1000'], { fds: [0, 1] });
      await deaf.started;
      for (let sent = 0; sent < 4; sent++) deaf.type(Buffer.alloc(1 << 20));
      const other = call.start('one', ['cat'], { fds: [0, 1] });
      other.type('to the other', true);
      assert.equal((await other.ended).code, 0);
      assert.equal(other.said[1], 'to the other');
      deaf.signal('KILL');
      assert.equal((await deaf.ended).code, 137);
    });

    test('can be fifty at once', async () => {
      await using client = await GatewayClient.open(rig.daemon.address);
      const call = client.exec();
      const ids = Array.from({ length: 50 }, (_, index) => `container ${index}`);
      await Promise.all(ids.map((id) => client.container(id, base)));
      const processes = ids.map((id) =>
        call.start(id, ['sh', '-c', 'read line; echo "$line"'], { fds: [0, 1] }),
      );
      await Promise.all(processes.map(({ started }) => started));
      const others = ids.map((id) => call.start(id, ['cat', '/proc/1/comm']));
      for (const other of others) assert.equal((await other.ended).code, 0);
      for (const [index, process] of processes.entries()) process.type(`to ${index}\n`, true);
      for (const [index, process] of processes.entries()) {
        assert.equal((await process.ended).code, 0);
        assert.equal(process.said[1], `to ${index}\n`);
      }
      await client.finish();
      await leavesNothing(rig.daemon.root);
    });

    test('what is wrong with a process or a mount is said, and ends nothing else', async () => {
      await using client = await GatewayClient.open(rig.daemon.address);
      await client.container('one', base);
      const call = client.exec();
      const first = call.start('one', ['cat'], { fds: [0, 1] });
      await first.started;
      const problems: readonly [object, RegExp][] = [
        [{ containerId: 'none' }, /previously released or not created/],
        [{ meta: { args: [] } }, /no command to run/],
        [{ meta: { args: ['missing'] } }, /missing not found in the image/],
        [{ meta: { args: ['true'], user: 'nobody-here' } }, /nobody-here/],
        [{ meta: { args: ['true\0'] } }, /zero byte/],
        [{ secretEnv: [{ id: 'none', name: 'X' }] }, /secret none: not found/],
        [{ secretEnv: [{ id: '', name: 'X' }] }, /secret ID missing/],
      ];
      for (const [init, message] of problems) {
        const wrong = await call.start('one', ['true'], init).ended;
        assert.notEqual(wrong.code, 0);
        assert.match(wrong.message, message);
      }
      first.type('alive', true);
      assert.equal((await first.ended).code, 0);
      assert.equal(first.said[1], 'alive');
      const rootfs = { dest: '/', resultId: await client.solve(base) };
      const mounts: readonly [readonly object[], RegExp][] = [
        [[], /needs a mount at \//],
        [[{ dest: '/', type: MountType.TMPFS }], /invalid mount type tmpfs/],
        [[rootfs, { dest: '/x', resultId: 'none' }], /no such ref "none"/],
        [[rootfs, { dest: '/x', type: MountType.CACHE }], /no options/],
        [[rootfs, { dest: '/x', type: MountType.SECRET, secret: { id: 'none' } }], /secret none: not found/],
      ];
      for (const [each, message] of mounts) {
        const request = { containerId: 'wrong', mounts: each.map((mount) => create(MountSchema, mount)) };
        await assert.rejects(client.bridge.newContainer(request, client.call), { message });
      }
      for (const [message, expected] of [
        [{ processId: '' }, /ProcessID required/],
        [
          { processId: 'none', body: { case: 'signal', value: { name: 'KILL' } } },
          /IO for process "none" not found/,
        ],
        [{ processId: 'none', body: { case: 'done', value: {} } }, /IO for process "none" not found/],
      ] as const) {
        const other = client.exec();
        other.send(message);
        await assert.rejects(other.ended, { message: expected });
      }
      await client.finish();
      await leavesNothing(rig.daemon.root);
    });

    test('end with the daemon', async () => {
      const daemon = await Daemon.start({ args: ['--oci-worker-binary', runtime] });
      await using client = await GatewayClient.open(daemon.address);
      await client.container('one', base);
      const call = client.exec();
      const process = call.start('one', ['sh', '-c', 'trap "" TERM HUP; echo ready; sleep 1000'], {
        fds: [1],
        tty: true,
      });
      await process.hears('ready');
      // It looks for what it left.
      await daemon[Symbol.asyncDispose]();
      await assert.rejects(client.solved);
    });
  });
}

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Whether processes with this in their command write something, and do so no more. */
async function standsStill(command: string): Promise<boolean> {
  const written = () =>
    runningProcesses()
      .filter(({ args }) => args.join(' ').includes(command))
      .map(({ pid }) => /^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1])
      .join();
  const before = written();
  await pause(300);
  return /\d{6}/.test(before) && written() === before;
}
