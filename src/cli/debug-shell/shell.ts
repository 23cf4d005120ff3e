import { KilnError } from '../../base/errors.ts';
import { type FailedBuild, failedBuilds } from '../../client/processes/debug-shell.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { parseFormat } from '../options/values/parse-format.ts';
import { parseSecret } from '../options/values/parse-secret.ts';
import { parseSsh } from '../options/values/parse-ssh.ts';
import { endAsProcess } from '../run/run.ts';
import { formatTable } from '../table.ts';
import type { ShellFlags } from './shell-flags.ts';
import { shellInStep } from './shell-in-step.ts';

/** `kiln debug shell`: its exit code is the shell's. */
export async function shell(place: string, flags: ShellFlags, context: CommandContext): Promise<void> {
  if (context.engine.kind === 'in-process') {
    throw new KilnError(
      'failed_precondition',
      'without a daemon nothing is left of a build that has failed',
      {
        hint: 'build with --debug-shell, or name a daemon with --addr',
      },
    );
  }
  if (flags.list) return await list(flags, context);
  const [build, step] = placeOf(place);
  await endAsProcess(context, async () => {
    const { environment } = context;
    const request = {
      build,
      step,
      secrets: flags.secret.map((text) => parseSecret(text, environment)),
      ssh: flags.ssh.map(parseSsh),
      bringTools: flags.bringShell ?? false,
    };
    await using connection = await connect(context);
    return await shellInStep(connection, request, context);
  });
}

async function list(flags: ShellFlags, context: CommandContext): Promise<void> {
  const { stdout, signal } = context;
  const format = parseFormat(flags.format);
  await using connection = await connect(context);
  const builds = await failedBuilds(connection, signal);
  if (format === 'json') stdout.write(`${JSON.stringify(builds)}\n`);
  else if (builds.length === 0) stdout.write('no failed step is kept\n');
  else stdout.write(formatTable([['STEP', 'FAILED', 'KEPT UNTIL', 'NAME'], ...builds.flatMap(rowsOf)]));
}

function rowsOf({ ref, failedAt, keptUntil, steps }: FailedBuild): readonly (readonly string[])[] {
  return steps.map(({ name, cause }, index) => [
    cause ? `${ref}:${index + 1} *` : `${ref}:${index + 1}`,
    time(failedAt),
    time(keptUntil),
    name,
  ]);
}

function time(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** A digest of a step has a colon, too. */
function placeOf(place: string): readonly [string, string] {
  const colon = place.indexOf(':');
  return colon < 0 ? [place, ''] : [place.slice(0, colon), place.slice(colon + 1)];
}
