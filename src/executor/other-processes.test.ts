import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { mapLimit } from '../base/async/lifetime.ts';
import { mountPointsBelow } from '../linux/mount-table.ts';
import { Conversation } from './conversation-rig.ts';
import type { OtherProcess, ProcessDialog, ProcessSpec } from './executor.ts';
import { ExecutorRig } from './executor-rig.ts';

/** A container whose first process waits until it is told to end. */
class Waiting {
  readonly rig: ExecutorRig;
  readonly spec: ProcessSpec;
  readonly first: Conversation;

  constructor(rig: ExecutorRig, more: Partial<ProcessSpec> = {}) {
    this.rig = rig;
    this.spec = rig.spec(['sh', '-c', 'read line'], more);
    this.first = Conversation.run(rig, this.spec);
  }

  talk(args: readonly string[], more: Partial<OtherProcess> = {}, dialog: Partial<ProcessDialog> = {}) {
    const process = { args, env: ['PATH=/bin'], cwd: '/', user: '', ...more };
    return new Conversation((io) => this.rig.executor.exec(this.spec.id, process, io), dialog);
  }

  /** What a shell says that has no input. */
  async sh(script: string, more: Partial<OtherProcess> = {}): Promise<string> {
    const talk = this.talk(['sh', '-ec', script], more, { input: undefined });
    await talk.ended;
    return talk.said;
  }

  async end(): Promise<void> {
    this.first.type('end\n');
    await this.first.ended;
    assert.deepEqual(mountPointsBelow(this.rig.dir), []);
    assert.deepEqual(readdirSync(path.join(this.rig.dir, 'executor')), ['state']);
    assert.deepEqual(readdirSync(path.join(this.rig.dir, 'executor/state')), []);
  }
}

function hasExitCode(code: number) {
  return (error: Error & { readonly details: readonly { readonly code?: number }[] }) => {
    assert.equal(error.details[0]?.code, code, error.message);
    return true;
  };
}

for (const runtime of ['crun', 'runc']) {
  describe(`other processes in a container of ${runtime}`, () => {
    test('they are in the same place as the first one, and as confined', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const container = new Waiting(rig, { hostname: 'together', env: ['PATH=/bin', 'OF_THE_FIRST=1'] });
      const facts =
        'cat /proc/self/status /proc/1/status | grep -E "^(Cap|Seccomp:|NoNewPrivs|NSpid)" | grep -v NSpid';
      const lines = (await container.sh(facts)).trim().split('\n');
      assert.ok(lines.length >= 14, lines.join('\n'));
      assert.deepEqual(lines.slice(0, lines.length / 2), lines.slice(lines.length / 2));
      const names = 'for each in pid ipc uts mnt; do ls -l /proc/self/ns/$each /proc/1/ns/$each; done';
      const links = (await container.sh(names)).match(/[a-z]+:\[\d+\]/g) ?? [];
      assert.equal(links.length, 8);
      assert.equal(new Set(links).size, 4);
      assert.equal(await container.sh('hostname; cat /proc/1/comm'), 'together\nsh\n');
      const variables = (await container.sh('env')).trim().split('\n').sort();
      assert.deepEqual(variables, ['HOME=/root', 'PATH=/bin', 'PWD=/', 'SHLVL=1']);
      await container.sh('echo shared >/tmp/file');
      assert.equal(
        await container.sh('cat file; id -u; pwd; echo $HOME', { cwd: '/tmp', user: 'app' }),
        'shared\n1000\n/tmp\n/home/app\n',
      );
      await container.end();
    });

    test('one that comes before the first one is there waits for it', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      for (let round = 0; round < 10; round++) {
        const container = new Waiting(rig);
        assert.equal(await container.sh('cat /proc/1/comm'), 'sh\n');
        await container.end();
      }
    });

    test('each has input, output and an exit code of its own, many at once', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const container = new Waiting(rig);
      await mapLimit(Array.from({ length: 20 }), 5, async (_, index) => {
        const input = (async function* () {
          yield Buffer.from(`to ${index}\n`);
          yield Buffer.alloc(200_000, 'x');
        })();
        const talk = container.talk(['sh', '-c', `cat; exit ${index}`], {}, { input });
        if (index === 0) await talk.ended;
        else await assert.rejects(talk.ended, hasExitCode(index));
        assert.equal(talk.said, `to ${index}\n${'x'.repeat(200_000)}`);
      });
      await container.end();
    });

    test('one has a terminal of its own, with a size that changes, and signals', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const container = new Waiting(rig);
      // crun gives other processes the size of their terminal while they begin: that signal must not end the reading of the line.
      const script =
        'trap "echo asked; exit 9" TERM; /bin/busybox tty; read line; trap "/bin/busybox stty size" WINCH; echo "got $line"; /bin/busybox stty size; while true; do sleep 0.1; done';
      const talk = container.talk(['sh', '-c', script], {}, { terminal: { rows: 33, columns: 101 } });
      await talk.hears('/dev/');
      talk.type('hello\n');
      await talk.hears('got hello\r\n');
      await talk.hears('33 101\r\n');
      const control = await talk.control;
      control.resize({ rows: 20, columns: 70 });
      await talk.hears('20 70');
      control.signal('SIGTERM');
      await talk.hears('asked');
      await assert.rejects(talk.ended, hasExitCode(9));
      control.signal('SIGTERM');
      assert.equal(await container.sh('echo still there'), 'still there\n');
      await container.end();
    });

    test('everything that they write to terminals before they end arrives', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const container = new Waiting(rig);
      await mapLimit(Array.from({ length: 40 }), 8, async (_, index) => {
        const talk = container.talk(
          ['echo', `last of ${index}`],
          {},
          { terminal: { rows: 24, columns: 80 } },
        );
        await talk.ended;
        // runc takes a while to tell the terminal that it is not to add a carriage return, since runc's own one does.
        assert.equal(talk.said.replace('\r\r', '\r'), `last of ${index}\r\n`);
      });
      await container.end();
    });

    test('SIGKILL reaches one, and only that', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const container = new Waiting(rig);
      const talk = container.talk(['sh', '-c', 'trap "" TERM; echo ready; while true; do sleep 0.1; done']);
      await talk.hears('ready');
      (await talk.control).signal('SIGKILL');
      await assert.rejects(talk.ended, hasExitCode(137));
      await container.end();
    });

    test('they end with the first one', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const container = new Waiting(rig);
      const talk = container.talk([
        'sh',
        '-c',
        'trap "" HUP TERM; echo ready; while true; do sleep 0.1; done',
      ]);
      await talk.hears('ready');
      await container.end();
      await assert.rejects(talk.ended, hasExitCode(137));
      await assert.rejects(container.sh('true'), { code: 'failed_precondition', message: /has ended/ });
    });

    test('one that is cancelled ends, and so do all with a container that is', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const spec = rig.spec(['sleep', '1000']);
      const ending = new AbortController();
      const run = rig.executor.run(spec, { signal: ending.signal, onOutput() {} });
      const begin = (signal: AbortSignal, onOutput: () => void) =>
        rig.executor.exec(
          spec.id,
          { args: ['sh', '-c', 'echo ready; sleep 1000'], env: ['PATH=/bin'], cwd: '/', user: '' },
          { signal, onOutput },
        );
      for (const moment of ['at once', 'running']) {
        const canceling = new AbortController();
        const other = begin(canceling.signal, () => canceling.abort());
        if (moment === 'at once') canceling.abort();
        await assert.rejects(other, { code: 'canceled' }, moment);
      }
      await Promise.all([
        assert.rejects(run, { code: 'canceled' }),
        assert.rejects(
          begin(AbortSignal.timeout(60_000), () => ending.abort()),
          hasExitCode(137),
        ),
      ]);
      assert.deepEqual(mountPointsBelow(rig.dir), []);
      assert.deepEqual(readdirSync(path.join(rig.dir, 'executor')), ['state']);
    });

    test('a program or a user that is not there is named, and a process without a command refused', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const container = new Waiting(rig);
      for (const dialog of [{}, { terminal: { rows: 24, columns: 80 } }]) {
        const missing = container.talk(['missing'], {}, dialog);
        await assert.rejects(missing.ended, { code: 'not_found', message: /missing not found in the image/ });
      }
      await assert.rejects(container.sh('true', { user: 'nobody-here' }), {
        code: 'not_found',
        message: /nobody-here/,
      });
      await assert.rejects(container.talk([]).ended, { code: 'invalid_argument' });
      await container.end();
    });
  });
}
