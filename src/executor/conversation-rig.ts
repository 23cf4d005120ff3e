import assert from 'node:assert/strict';
import { deferred } from '../base/async/lifetime.ts';
import type { Executor, ProcessControl, ProcessDialog, ProcessIo, ProcessSpec } from './executor.ts';

/** For tests: a process that somebody talks to. */
export class Conversation {
  said = '';
  readonly ended: Promise<void>;
  readonly #started = deferred<ProcessControl>();
  readonly #typed: Uint8Array[] = [];
  #turn = deferred<void>();
  #heard = deferred<void>();

  /** `begin` starts the process, and resolves when it has ended. */
  constructor(begin: (io: ProcessIo) => Promise<void>, dialog: Partial<ProcessDialog> = {}) {
    const input = this.#input();
    this.ended = begin({
      signal: AbortSignal.timeout(60_000),
      onOutput: (_stream, data) => {
        this.said += Buffer.from(data).toString('utf8');
        this.#heard.resolve();
      },
      dialog: { input, onStarted: (control) => this.#started.resolve(control), ...dialog },
    });
    this.ended.catch(() => {});
  }

  /** With the first process of a container. */
  static run(
    { executor }: { readonly executor: Executor },
    spec: ProcessSpec,
    dialog: Partial<ProcessDialog> = {},
  ): Conversation {
    return new Conversation((io) => executor.run(spec, io), dialog);
  }

  get control(): Promise<ProcessControl> {
    return this.#started.promise;
  }

  type(text: string): void {
    this.#typed.push(Buffer.from(text));
    this.#turn.resolve();
  }

  /** Waits until it has said this, and forgets that and what came before. */
  async hears(text: string): Promise<void> {
    while (!this.said.includes(text)) {
      this.#heard = deferred();
      await Promise.race([
        this.#heard.promise,
        this.ended.then(() => assert.ok(this.said.includes(text), this.said)),
      ]);
    }
    this.said = this.said.slice(this.said.indexOf(text) + text.length);
  }

  async *#input(): AsyncGenerator<Uint8Array> {
    for (;;) {
      yield* this.#typed.splice(0);
      this.#turn = deferred();
      await this.#turn.promise;
    }
  }
}
