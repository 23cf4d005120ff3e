import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { MeasuredDaemon } from './measured-daemon.ts';

/** Runs the client against `daemon` and returns the seconds it took. Throws with its output when it fails. */
export async function timeBuild(
  client: string,
  daemon: MeasuredDaemon,
  args: readonly string[],
  stdin?: Uint8Array,
): Promise<number> {
  const start = process.hrtime.bigint();
  const child = spawn(client, ['--addr', daemon.address, 'build', '--progress', 'plain', ...args], {
    stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  const output: Buffer[] = [];
  child.stdout!.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr!.on('data', (chunk: Buffer) => output.push(chunk));
  child.stdin?.end(stdin);
  const [code] = (await once(child, 'close')) as [number | null];
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  if (code !== 0) {
    throw new Error(
      `${daemon.name}: build failed with code ${code}\n${Buffer.concat(output).toString('utf8').slice(-4000)}`,
    );
  }
  return seconds;
}
