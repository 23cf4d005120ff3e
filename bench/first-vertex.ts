/**
 * Measures, turn by turn, how long daemons take from `Solve` to the first vertex of a Dockerfile frontend that is an image, once the image is cached:
 * `node bench/first-vertex.ts IMAGE ROUNDS ADDRESS...`. The ratios are to the last daemon.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connectDaemon } from '../src/client/connect-daemon.ts';
import type { Connection } from '../src/client/connection.ts';
import { solve } from '../src/client/solve.ts';
import { emptySolve } from '../src/client/solve-request.ts';

/** What every frontend for Dockerfiles begins with. */
const firstName = '[internal] load build definition';
const warmUps = 2;

const [image, rounds, ...addresses] = process.argv.slice(2);
if (!image || !rounds || addresses.length === 0) {
  throw new Error('usage: node bench/first-vertex.ts IMAGE ROUNDS ADDRESS...');
}
const context = mkdtempSync(path.join(tmpdir(), 'kiln-bench-'));
await using connections = new AsyncDisposableStack();
connections.defer(() => rmSync(context, { recursive: true }));
writeFileSync(path.join(context, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
const daemons: { readonly address: string; readonly connection: Connection; readonly times: number[] }[] = [];
for (const address of addresses) {
  daemons.push({ address, connection: connections.use(await connectDaemon(address)), times: [] });
}

/** In milliseconds. */
async function timeToFirstVertex(connection: Connection): Promise<number> {
  const start = performance.now();
  const build = solve(connection, {
    ...emptySolve,
    source: { kind: 'frontend', frontend: 'gateway.v0', options: { source: image! } },
    locals: new Map([
      ['context', context],
      ['dockerfile', context],
    ]),
  });
  let first: number | undefined;
  for await (const { vertexes } of build.progress) {
    if (vertexes.some(({ name }) => name.startsWith(firstName))) first ??= performance.now() - start;
  }
  await build.result;
  if (first === undefined) throw new Error(`no vertex is called ${firstName}`);
  return first;
}

for (let round = -warmUps; round < Number(rounds); round++) {
  for (const { connection, times } of round % 2 === 0 ? daemons : daemons.toReversed()) {
    const time = await timeToFirstVertex(connection);
    if (round >= 0) times.push(time);
  }
}
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const peer = daemons.at(-1)!;
for (const { address, times } of daemons) {
  const ratio = median(times.map((time, round) => time / peer.times[round]!));
  console.log(
    `${address}: median ${median(times).toFixed(0)} ms, least ${Math.min(...times).toFixed(0)} ms, median of the ratios ${ratio.toFixed(2)}`,
  );
}
