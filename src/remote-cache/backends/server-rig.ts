import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import path from 'node:path';

const packages = path.resolve(import.meta.dirname, '../../../test-servers/node_modules');

/**
 * For tests: starts a server program of a package of `test-servers/`, and returns once it listens on `port` of loopback. `program` is a path in the
 * packages' directory.
 */
export async function startServer(
  program: string,
  port: number,
  options: readonly string[],
): Promise<AsyncDisposable> {
  const child = spawn(process.execPath, [path.join(packages, program), ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  await listening(program, port, child, () => stderr);
  return {
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function listening(
  program: string,
  port: number,
  child: ChildProcess,
  stderr: () => string,
): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${stderr()}`);
    const socket = connect(port, '127.0.0.1');
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill('SIGKILL');
  throw new Error(`${program} does not listen on port ${port}: ${stderr()}`);
}
