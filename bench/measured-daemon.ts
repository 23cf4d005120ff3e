import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A daemon under measurement. */
export interface MeasuredDaemon {
  readonly name: string;
  readonly address: string;
  /** Undefined when its process is not known. */
  readonly pid: number | undefined;
}

const root = path.resolve(import.meta.dirname, '..');

/** Starts `kilnd` on a root of its own and waits until it listens. */
export async function startKilnd(
  directory: string,
  args: readonly string[],
): Promise<MeasuredDaemon & { stop(): Promise<void> }> {
  const socket = path.join(directory, 'kilnd.sock');
  const child = spawn(
    path.join(root, 'bin/kilnd'),
    ['--root', path.join(directory, 'root'), '--addr', `unix://${socket}`, ...args],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  await listening(socket, child);
  return {
    name: 'kilnd',
    address: `unix://${socket}`,
    pid: child.pid,
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGTERM');
      }),
  };
}

async function listening(socket: string, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`kilnd ended with code ${child.exitCode}`);
    const answered = await new Promise<boolean>((resolve) => {
      const probe = connect(socket);
      probe.once('connect', () => {
        probe.destroy();
        resolve(true);
      });
      probe.once('error', () => resolve(false));
    });
    if (answered) return;
    await sleep(20);
  }
}

/** Resident memory of a process, in megabytes. */
export function residentMegabytes(pid: number): number {
  return statusMegabytes(pid, 'VmRSS');
}

/** The most that it has been since `forgetPeak`. */
export function peakMegabytes(pid: number): number {
  return statusMegabytes(pid, 'VmHWM');
}

export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

function statusMegabytes(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024);
}
