import { timestampDate } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { Debug, type RunningBuild, type SolverResponse } from '../../api/gen/kiln_debug_pb.js';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { parseFormat } from '../options/values/parse-format.ts';

export interface SolverFlags {
  readonly format?: string;
}

/** `kiln debug solver`: what the daemon's builds are doing, for builds that seem stuck. */
export async function debugSolver(flags: SolverFlags, context: CommandContext): Promise<void> {
  const { stdout, signal } = context;
  const format = parseFormat(flags.format);
  await using connection = await connect(context);
  const answer = await createClient(Debug, connection.transport).solver({}, { signal });
  const now = new Date();
  if (format === 'json') stdout.write(`${JSON.stringify(solverJson(answer, now))}\n`);
  else if (answer.builds.length === 0) stdout.write('no build is running\n');
  else stdout.write(answer.builds.map((build) => buildText(build, answer, now)).join('\n'));
}

function buildText(build: RunningBuild, { vertices }: SolverResponse, now: Date): string {
  const own = vertices.filter(({ builds }) => builds.includes(build.ref));
  const lines = [`build ${build.ref}, for ${secondsOf(build, now).toFixed(1)} s`];
  for (const { name, builds, state, waitsFor } of own) {
    const others = builds.filter((ref) => ref !== build.ref);
    lines.push(`  ${name}`, `    ${state}`);
    for (const each of waitsFor) lines.push(`    waits for ${each}`);
    if (others.length > 0) lines.push(`    also for build ${others.join(', ')}`);
  }
  if (own.length === 0) lines.push('  no step is under way: it waits for its frontend, or for its client');
  return `${lines.join('\n')}\n`;
}

function solverJson({ builds, vertices }: SolverResponse, now: Date): object {
  return {
    builds: builds.map((build) => ({ ref: build.ref, seconds: secondsOf(build, now) })),
    vertices: vertices.map(({ $typeName: _, $unknown: __, ...vertex }) => vertex),
  };
}

function secondsOf({ startedAt }: RunningBuild, now: Date): number {
  return startedAt ? (now.getTime() - timestampDate(startedAt).getTime()) / 1000 : 0;
}
