/**
 * Measures builds against kilnd and, side by side, any other daemon that speaks the protocol: `npm run bench -- --help`.
 * Both get the same work from the same client, turn by turn, so that a machine whose speed drifts is fair to both.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import { startRegistry } from '../src/registry/registry-rig.ts';
import { DaemonProbe, type LoopDelay } from './daemon-probe.ts';
import { endure } from './endurance.ts';
import {
  forgetPeak,
  type MeasuredDaemon,
  peakMegabytes,
  residentMegabytes,
  startKilnd,
} from './measured-daemon.ts';
import { timeBuild } from './time-build.ts';
import { newNonce, type Workload, workloads } from './workloads.ts';

interface Row {
  readonly name: string;
  readonly target: number | undefined;
  /** Seconds, by daemon. */
  readonly seconds: Readonly<Record<string, readonly number[]>>;
  readonly vertices: number | undefined;
  /** The most resident memory in megabytes, by daemon. */
  readonly peaks: Readonly<Record<string, number>>;
  /** The longest that kilnd's event loop stood still, also while it warmed up. */
  readonly loop: LoopDelay;
}

/** Milliseconds that one turn of kilnd's event loop may take. */
const longestTurn = 50;

const program = new Command('bench')
  .option('--peer <address>', 'a daemon to compare with, unix:///…')
  .option('--peer-pid <pid>', "the peer's process, to see its memory")
  .option('--client <program>', 'buildctl, or kiln', path.resolve(import.meta.dirname, '../bin/kiln'))
  .option('--kilnd-arg <arg...>', 'given to kilnd', [])
  .option('--rounds <n>', 'rounds of each row', '3')
  .option('--large <megabytes>', 'size of the large file', '400')
  .option('--files <n>', 'number of small files', '20000')
  .option('--image <megabytes>', 'size of the large image', '1024')
  .option(
    '--builds <n>',
    'after so many builds memory is compared with that after 50; 0 for no such row',
    '1000',
  )
  .option('--only <pattern>', 'rows whose name holds this')
  .option('--json <file>', 'where the figures go', 'bench.json')
  .parse();
const options = program.opts<{
  peer?: string;
  peerPid?: string;
  client: string;
  kilndArg: string[];
  rounds: string;
  large: string;
  files: string;
  image: string;
  builds: string;
  only?: string;
  json: string;
}>();

const directory = mkdtempSync(path.join(tmpdir(), 'kiln-bench-'));
const registry = await startRegistry();
const kilnd = await startKilnd(directory, options.kilndArg);
const probe = await DaemonProbe.connect(kilnd.address);
try {
  const peer: MeasuredDaemon | undefined = options.peer
    ? { name: 'peer', address: options.peer, pid: options.peerPid ? Number(options.peerPid) : undefined }
    : undefined;
  const daemons = peer ? [kilnd, peer] : [kilnd];
  const rows: Row[] = [];
  const all = workloads({
    directory,
    registry: registry.host,
    largeMegabytes: Number(options.large),
    smallFiles: Number(options.files),
    imageMegabytes: Number(options.image),
    rounds: Number(options.rounds),
  });
  for (const workload of all.filter(({ name }) => !options.only || name.includes(options.only))) {
    const row = await measure(workload, workload.alone ? [kilnd] : daemons);
    rows.push(row);
    console.log(format(row));
  }
  const memory = Object.fromEntries(
    daemons.flatMap(({ name, pid }) => (pid === undefined ? [] : [[name, residentMegabytes(pid)]])),
  );
  console.log(`resident memory afterwards (MB): ${JSON.stringify(memory)}`);
  const endurance = await endure(
    probe,
    path.join(directory, 'endurance'),
    [50, Number(options.builds)].filter((builds) => builds <= Number(options.builds)),
  );
  for (const { builds, memory: own } of endurance)
    console.log(`kilnd after ${builds} builds: live heap ${own.heap} MB, resident ${own.resident} MB`);
  writeFileSync(options.json, `${JSON.stringify({ rows, memory, endurance }, undefined, 2)}\n`);
} finally {
  await probe[Symbol.asyncDispose]();
  await kilnd.stop();
  await registry[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
}

async function measure(workload: Workload, daemons: readonly MeasuredDaemon[]): Promise<Row> {
  const seconds: Record<string, number[]> = Object.fromEntries(daemons.map(({ name }) => [name, []]));
  const peaks: Record<string, number> = {};
  await probe.loopDelay();
  for (let round = 0; round < workload.rounds; round++) {
    for (const daemon of daemons) {
      const { warmUp = [], timed } = await workload.prepare(newNonce());
      for (const command of warmUp) await timeBuild(options.client, daemon, command);
      if (daemon.pid !== undefined) forgetPeak(daemon.pid);
      seconds[daemon.name]!.push(await timeBuild(options.client, daemon, timed));
      if (daemon.pid !== undefined) {
        peaks[daemon.name] = Math.max(peaks[daemon.name] ?? 0, peakMegabytes(daemon.pid));
      }
    }
  }
  const { name, target, vertices } = workload;
  return { name, target, seconds, vertices, peaks, loop: await probe.loopDelay() };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

function format({ name, target, seconds, vertices, peaks, loop }: Row): string {
  const own = median(seconds.kilnd!);
  const columns = [name.padEnd(66), `kilnd ${own.toFixed(2)} s`];
  if (seconds.peer) {
    const other = median(seconds.peer);
    const ratio = own / other;
    columns.push(`peer ${other.toFixed(2)} s`, `ratio ${ratio.toFixed(2)}`);
    if (target !== undefined) columns.push(`${ratio <= target ? 'reaches' : 'MISSES'} ${target}`);
  }
  if (vertices !== undefined) columns.push(`${((own / vertices) * 1e6).toFixed(0)} µs a vertex`);
  columns.push(`memory ${Object.values(peaks).join(' / ')} MB`);
  columns.push(`loop ${loop.delay} ms (${loop.work} at work${loop.work > longestTurn ? ', TOO LONG' : ''})`);
  return columns.join('  ');
}
