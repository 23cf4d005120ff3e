import { CommanderError } from 'commander';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { askFrontend } from '../../client/ask.ts';
import { solve } from '../../client/solve.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { answerText } from '../format-answer.ts';
import type { BuildFlags } from '../options/build-flags.ts';
import { prepareRequest } from '../options/prepare-request.ts';
import type { Call } from '../options/values/parse-call.ts';
import { printableLines } from '../printable.ts';
import { createDisplay, parseProgressMode } from '../progress/create-display.ts';
import { showProgress } from '../show-progress.ts';

/** `kiln build --call`: asks the frontend, and prints its answer. Throws what ends the command with the answer's status. */
export async function call(
  asking: Call,
  flags: BuildFlags,
  path: string | undefined,
  context: CommandContext,
): Promise<void> {
  const { stdin, stdout, stderr, environment, signal } = context;
  await using prepared = await prepareRequest(flags, path, { environment, stdin, stdoutIsTerminal: false });
  const { source } = prepared.request;
  if (source.kind !== 'frontend') {
    throw new KilnError('invalid_argument', 'only a frontend can be asked, not LLB', {
      hint: 'give the PATH of a context with a Dockerfile',
    });
  }
  const mode = flags.quiet ? 'quiet' : parseProgressMode(flags.progress);
  await using connection = await connect(context, { silent: mode === 'rawjson' });
  using display = createDisplay(mode, stderr as Parameters<typeof createDisplay>[1], environment);
  const options = {
    ...source.options,
    requestid: `frontend.${asking.name}`,
    'frontend.caps': 'moby.buildkit.frontend.subrequests+forward',
  };
  const file =
    prepared.buildFile === undefined
      ? undefined
      : await (await import('../build-file-source.ts')).buildFileSource(
          connection,
          prepared.buildFile,
          options,
          (text) => display.notice(printableLines(text)),
        );
  const question = { kind: 'question' as const, ask: askFrontend(source.frontend, options) };
  const asked = solve(
    connection,
    { ...prepared.request, outputs: [], source: file?.source ?? question },
    signal,
  );
  await showProgress(asked.progress, display);
  const { answer: told } = await asked.result.catch((error) => {
    throw asKilnError(error).wrap('failed to solve');
  });
  const answer = file?.answer() ?? told;
  const { text, status } = answerText(asking, answer);
  stdout.write(text);
  if (status !== 0 && !asking.ignoreStatus) {
    throw new CommanderError(status, 'kiln.call', `${asking.name} found something`);
  }
}
