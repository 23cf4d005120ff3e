import assert from 'node:assert/strict';
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { deferred, mapLimit } from '../base/async/lifetime.ts';
import { mountPointsBelow } from '../linux/mount-table.ts';
import { Conversation } from './conversation-rig.ts';
import type { ProcessDialog, ProcessSpec } from './executor.ts';
import { ExecutorRig } from './executor-rig.ts';
import { createOciExecutor } from './oci-executor.ts';

for (const runtime of ['crun', 'runc']) {
  describe(`a dialog with a process run by ${runtime}`, () => {
    test('input is what it reads, until it ends', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const input = (async function* () {
        yield Buffer.from('one\n');
        yield Buffer.alloc(300_000, 'x');
      })();
      const { said, ended } = await withOutput(rig, rig.spec(['cat']), { input });
      await ended;
      assert.equal(said(), `one\n${'x'.repeat(300_000)}`);
    });

    test('input that it does not read keeps nothing from ending', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const endless = (async function* () {
        for (;;) yield Buffer.alloc(100_000);
      })();
      const { ended } = await withOutput(rig, rig.spec(['true']), { input: endless });
      await ended;
      assert.deepEqual(mountPointsBelow(rig.dir), []);
    });

    test('a terminal is one, has a size that can change, and passes on what is typed', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const script =
        'trap "/bin/busybox stty size" WINCH; /bin/busybox tty; /bin/busybox stty size; read line; echo "got $line"; while true; do sleep 0.1; done';
      const talk = Conversation.run(rig, rig.spec(['sh', '-c', script]), {
        terminal: { rows: 33, columns: 101 },
      });
      await talk.hears('33 101\r\n');
      talk.type('hello\n');
      await talk.hears('got hello\r\n');
      (await talk.control).resize({ rows: 20, columns: 70 });
      await talk.hears('20 70');
      talk.type('\x03');
      await assert.rejects(talk.ended, (error: Error & { details: readonly { code: number }[] }) => {
        assert.equal(error.details[0]?.code, 130);
        return true;
      });
      assert.deepEqual(mountPointsBelow(rig.dir), []);
    });

    test('everything that it writes to a terminal before it ends arrives, also of many that end at once', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const before = openFiles();
      await mapLimit(Array.from({ length: 100 }), 10, async (_, index) => {
        const { said, ended } = await withOutput(rig, rig.spec(['echo', `last of ${index}`]), { terminal });
        await ended;
        assert.equal(said(), `last of ${index}\r\n`);
      });
      await closes(before);
      assert.deepEqual(mountPointsBelow(rig.dir), []);
    });

    test('a slow reader of a terminal gets everything, and has taken it when the process is said to have ended', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      let taken = '';
      await rig.executor.run(rig.spec(['sh', '-c', 'seq 1 20000; echo last']), {
        signal: AbortSignal.timeout(60_000),
        async onOutput(_stream, data) {
          await pause(5);
          taken += Buffer.from(data).toString('utf8');
        },
        dialog: { terminal, onStarted() {} },
      });
      const lines = taken.split('\r\n');
      assert.equal(lines.length, 20_002);
      assert.deepEqual(lines.slice(-3), ['20000', 'last', '']);
    });

    test('a terminal that it closes can be opened again', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const script = 'exec </dev/null >/dev/null 2>&1; sleep 0.1; echo again >/dev/console; sleep 0.1';
      const { said, ended } = await withOutput(rig, rig.spec(['sh', '-c', script]), { terminal });
      await ended;
      assert.equal(said(), 'again\r\n');
    });

    test('what is typed before it has a terminal is for it, and shown once', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const talk = Conversation.run(rig, rig.spec(['sh', '-c', 'read line; echo "got $line"']), { terminal });
      talk.type('early\n');
      await talk.ended;
      assert.equal(talk.said, 'early\r\ngot early\r\n');
    });

    test('a terminal costs nothing of what keeps it from starting, and of its end when nobody waits for it', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const before = openFiles();
      const { ended } = await withOutput(rig, rig.spec(['/missing']), { terminal });
      await assert.rejects(ended, /\/missing not found in the image/);
      for (const moment of ['at once', 'running']) {
        const canceling = new AbortController();
        const spec = rig.spec(['sh', '-c', 'echo ready; sleep 1000']);
        const run = rig.executor.run(spec, {
          signal: canceling.signal,
          onOutput: () => canceling.abort(),
          dialog: {
            terminal,
            onStarted() {
              if (moment === 'at once') canceling.abort();
            },
          },
        });
        await assert.rejects(run, { code: 'canceled' }, moment);
      }
      await closes(before);
      assert.deepEqual(mountPointsBelow(rig.dir), []);
      assert.deepEqual(readdirSync(path.join(rig.dir, 'executor')), ['state']);
    });

    test('somebody else who has its terminal does not keep a cancelled run from ending', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const canceling = new AbortController();
      const spec = rig.spec(['sh', '-c', 'echo ready; sleep 1000']);
      let other: number | undefined;
      const run = rig.executor.run(spec, {
        signal: canceling.signal,
        async onOutput() {
          const pid = await readWhenWritten(path.join(rig.dir, 'executor', spec.id, 'pid'));
          other ??= openSync(`/proc/${pid}/root/dev/pts/0`, constants.O_RDWR | constants.O_NOCTTY);
          canceling.abort();
        },
        dialog: { terminal, onStarted() {} },
      });
      try {
        await assert.rejects(run, { code: 'canceled' });
        assert.notEqual(other, undefined);
      } finally {
        if (other !== undefined) closeSync(other);
      }
    });

    test('the directory of the executor may have a long name', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const root = path.join(rig.dir, 'long'.repeat(30));
      const executor = await createOciExecutor({ root, runtime });
      const { said, ended } = await withOutput({ executor }, rig.spec(['echo', 'said']), { terminal });
      await ended;
      assert.equal(said(), 'said\r\n');
    });

    test('signals reach it, and one that comes after its end reaches nobody', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const script = 'trap "echo asked; exit 7" TERM; echo ready; while true; do sleep 0.1; done';
      const talk = Conversation.run(rig, rig.spec(['sh', '-c', script]));
      await talk.hears('ready');
      const control = await talk.control;
      control.signal('SIGTERM');
      await talk.hears('asked');
      await assert.rejects(talk.ended, (error: Error & { details: readonly { code: number }[] }) => {
        assert.equal(error.details[0]?.code, 7);
        return true;
      });
      control.signal('SIGTERM');
      control.resize({ rows: 1, columns: 1 });
    });

    test('signals that no process can handle reach it too', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const script = 'echo ready; while true; do sleep 0.1; done';
      for (const when of ['at once', 'running']) {
        const talk = Conversation.run(rig, rig.spec(['sh', '-c', script]));
        const control = await talk.control;
        if (when === 'running') await talk.hears('ready');
        control.signal('SIGSTOP');
        control.signal('SIGKILL');
        await assert.rejects(talk.ended, (error: Error & { details: readonly { code: number }[] }) => {
          assert.equal(error.details[0]?.code, 137);
          return true;
        });
      }
      assert.deepEqual(mountPointsBelow(rig.dir), []);
    });

    test('a reader that takes its time holds the process up, and gets everything', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      let bytes = 0;
      let taken = 0;
      const gate = deferred<void>();
      const first = deferred<void>();
      const ended = rig.executor.run(rig.spec(['head', '-c', '3000000', '/dev/zero']), {
        signal: AbortSignal.timeout(60_000),
        async onOutput(_stream, data) {
          bytes += data.length;
          taken++;
          first.resolve();
          await gate.promise;
        },
      });
      await first.promise;
      // What was read before the pipe stood still: no more than one piece.
      assert.equal(taken, 1);
      gate.resolve();
      await ended;
      assert.equal(bytes, 3_000_000);
    });
  });
}

const terminal = { rows: 24, columns: 80 } as const;

/** How many files this process has open that are no files of a tree: ends of pipes, sockets, terminals. */
function openFiles(): number {
  return readdirSync('/proc/self/fd').filter((name) => {
    try {
      return /^(pipe|socket):|ptmx|pts/.test(readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // The one that lists them is closed.
      return false;
    }
  }).length;
}

async function readWhenWritten(file: string): Promise<string> {
  for (;;) {
    const text = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
    if (text !== '') return text;
    await nextTurn();
  }
}

/** Waits until no more files are open: streams close theirs a turn later. */
async function closes(before: number): Promise<void> {
  for (let turn = 0; turn < 100 && openFiles() > before; turn++) await nextTurn();
  assert.ok(openFiles() <= before, `${openFiles()} files are open, not ${before}`);
}

async function withOutput(
  rig: Pick<ExecutorRig, 'executor'>,
  spec: ProcessSpec,
  dialog: Partial<ProcessDialog>,
) {
  const chunks: Uint8Array[] = [];
  const ended = rig.executor.run(spec, {
    signal: AbortSignal.timeout(60_000),
    onOutput: (_stream, data) => void chunks.push(data),
    dialog: { onStarted() {}, ...dialog },
  });
  return { ended, said: () => Buffer.concat(chunks).toString('utf8') };
}
