import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deferred } from '../base/async/lifetime.ts';
import { mountPointsBelow } from '../linux/mount-table.ts';
import type { ProcessControl, ProcessDialog, ProcessSpec } from './executor.ts';
import { ExecutorRig } from './executor-rig.ts';

/** A process that somebody talks to. */
class Conversation {
  said = '';
  readonly ended: Promise<void>;
  readonly #started = deferred<ProcessControl>();
  readonly #typed: Uint8Array[] = [];
  #turn = deferred<void>();
  #heard = deferred<void>();

  constructor(rig: ExecutorRig, spec: ProcessSpec, dialog: Partial<ProcessDialog> = {}) {
    const input = this.#input();
    this.ended = rig.executor.run(spec, {
      signal: AbortSignal.timeout(60_000),
      onOutput: (_stream, data) => {
        this.said += Buffer.from(data).toString('utf8');
        this.#heard.resolve();
      },
      dialog: { input, onStarted: (control) => this.#started.resolve(control), ...dialog },
    });
    this.ended.catch(() => {});
  }

  get control(): Promise<ProcessControl> {
    return this.#started.promise;
  }

  type(text: string): void {
    this.#typed.push(Buffer.from(text));
    this.#turn.resolve();
  }

  /** Waits until it has said this, and forgets what it has said so far. */
  async hears(text: string): Promise<void> {
    while (!this.said.includes(text)) {
      this.#heard = deferred();
      await Promise.race([
        this.#heard.promise,
        this.ended.then(() => assert.ok(this.said.includes(text), this.said)),
      ]);
    }
    this.said = '';
  }

  async *#input(): AsyncGenerator<Uint8Array> {
    for (;;) {
      yield* this.#typed.splice(0);
      this.#turn = deferred();
      await this.#turn.promise;
    }
  }
}

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
      const talk = new Conversation(rig, rig.spec(['sh', '-c', script]), {
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

    test('signals reach it, and one that comes after its end reaches nobody', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const script = 'trap "echo asked; exit 7" TERM; echo ready; while true; do sleep 0.1; done';
      const talk = new Conversation(rig, rig.spec(['sh', '-c', script]));
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

async function withOutput(rig: ExecutorRig, spec: ProcessSpec, dialog: Partial<ProcessDialog>) {
  const chunks: Uint8Array[] = [];
  const ended = rig.executor.run(spec, {
    signal: AbortSignal.timeout(60_000),
    onOutput: (_stream, data) => void chunks.push(data),
    dialog: { onStarted() {}, ...dialog },
  });
  return { ended, said: () => Buffer.concat(chunks).toString('utf8') };
}
