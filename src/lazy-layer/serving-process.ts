import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FromServer, ToServer } from './fuse/serving-messages.ts';

const program = fileURLToPath(new URL('./fuse/serve-trees.process.ts', import.meta.url));

/**
 * The process that answers the kernel for mounted layers. It is a process of its own because this one reads the mounts: a process that is killed while one of its
 * threads waits for an answer cannot end as long as it holds the connection itself.
 */
export class ServingProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #pending = '';

  /** `onExit` is called when it has ended, whatever the reason. */
  constructor(onMessage: (message: FromServer) => void, onExit: () => void) {
    this.#child = spawn(process.execPath, ['--no-warnings', program], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#exited = once(this.#child, 'close').catch(() => {});
    void this.#exited.then(onExit);
    // Its end is told by `close`.
    this.#child.stdin!.on('error', () => {});
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#pending + text).split('\n');
      this.#pending = lines.pop()!;
      for (const line of lines) onMessage(JSON.parse(line) as FromServer);
    });
  }

  tell(message: ToServer): void {
    this.#child.stdin!.write(`${JSON.stringify(message)}\n`);
  }

  /** Ends it, and with it all that it serves. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin!.end();
    await this.#exited;
  }
}
