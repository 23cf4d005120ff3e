import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { MeasuredDaemon } from './measured-daemon.ts';
import type { BuildCommand } from './workloads.ts';

/** Runs a command of the client against `daemon` and returns the seconds it took. Throws with its output when it fails. */
export async function timeBuild(
  client: string,
  daemon: MeasuredDaemon,
  { command = 'build', args, stdin }: BuildCommand,
): Promise<number> {
  const called = ['--addr', daemon.address, command, ...(command === 'build' ? ['--progress', 'plain'] : [])];
  const start = process.hrtime.bigint();
  const child = spawn(client, [...called, ...args], {
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
      `${daemon.name}: ${command} failed with code ${code}\n${Buffer.concat(output).toString('utf8').slice(-4000)}`,
    );
  }
  return seconds;
}
