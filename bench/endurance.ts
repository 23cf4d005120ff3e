import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { solve } from '../src/client/solve.ts';
import { emptySolve, type SolveRequest } from '../src/client/solve-request.ts';
import { files, type State, scratch, toDefinition } from '../src/llb/llb.ts';
import type { DaemonProbe, Memory } from './daemon-probe.ts';
import { newNonce } from './workloads.ts';

/** Long enough for a daemon without work to tidy up. */
const rest = 2_000;

export interface Endurance {
  /** After so many builds. */
  readonly builds: number;
  readonly memory: Memory;
}

/** Builds again and again, a third of it anew, and returns the daemon's memory at each of `marks`. */
export async function endure(
  probe: DaemonProbe,
  context: string,
  marks: readonly number[],
): Promise<readonly Endurance[]> {
  mkdirSync(context, { recursive: true });
  writeFileSync(
    path.join(context, 'Dockerfile'),
    'FROM scratch AS copied\nCOPY Dockerfile /\nFROM copied\nARG NONCE\nLABEL nonce=$NONCE\nWORKDIR /$NONCE\n',
  );
  const measured: Endurance[] = [];
  let builds = 0;
  for (const mark of marks) {
    for (; builds < mark; builds++) {
      const nonce = builds % 3 === 0 ? newNonce() : 'same';
      const request = builds % 2 === 0 ? chainRequest(nonce) : dockerfileRequest(context, nonce);
      const build = solve(probe.connection, request);
      for await (const _ of build.progress);
      await build.result;
    }
    await pause(rest);
    measured.push({ builds, memory: await probe.memory() });
  }
  return measured;
}

function chainRequest(nonce: string): SolveRequest {
  let state: State = scratch();
  for (let index = 0; index < 10; index++)
    state = state.file(files().mkfile(`/file-${index}`, 0o644, `${nonce} ${index}`));
  return {
    ...emptySolve,
    source: {
      kind: 'definition',
      definition: toDefinition(state),
    },
  };
}

function dockerfileRequest(context: string, nonce: string): SolveRequest {
  return {
    ...emptySolve,
    source: { kind: 'frontend', frontend: 'dockerfile.v0', options: { 'build-arg:NONCE': nonce } },
    locals: new Map([
      ['context', context],
      ['dockerfile', context],
    ]),
  };
}
