import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { asKilnError } from '../../base/errors.ts';
import type { Connection } from '../../client/connection.ts';
import { solve } from '../../client/solve.ts';
import type { SolveRequest } from '../../client/solve-request.ts';
import type { SolveStatus } from '../../client/solve-status.ts';
import type { Loader } from '../../loader/loader.ts';
import { buildMetadata, imageId } from '../build-metadata.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { FailureShell } from '../debug-shell/failure-shell.ts';
import { formatWarnings } from '../format-warnings.ts';
import { localVertex } from '../local-vertex.ts';
import type { BuildFlags } from '../options/build-flags.ts';
import { danglingName } from '../options/build-outputs.ts';
import { type PreparedRequest, prepareRequest } from '../options/prepare-request.ts';
import { printableLines } from '../printable.ts';
import { createDisplay, parseProgressMode } from '../progress/create-display.ts';
import type { Display } from '../progress/display.ts';
import { solveStatusToGoJson } from '../progress/raw-json-display.ts';
import { showProgress } from '../show-progress.ts';
import { writeFileAtomically } from '../write-file.ts';

/** `kiln build`. */
export async function build(
  flags: BuildFlags,
  path: string | undefined,
  context: CommandContext,
): Promise<void> {
  const { stdin, stdout, stderr, environment, signal } = context;
  const shell = flags.debugShell ? new FailureShell(context) : undefined;
  const mode = flags.quiet ? 'quiet' : parseProgressMode(flags.progress);
  await using prepared = await prepareRequest(flags, path, {
    environment,
    stdin,
    stdoutIsTerminal: stdout.isTTY === true,
  });
  const loader = await loaderOf(flags, context);
  await using connection = await connect(context, { silent: mode === 'rawjson' });
  await shell?.check(connection);
  const ref = randomBytes(16).toString('hex');
  if (flags.refFile) await writeFileAtomically(flags.refFile, ref, '--ref-file');
  await using trace = flags.trace ? await openTrace(flags.trace) : undefined;
  using display = createDisplay(mode, stderr as Parameters<typeof createDisplay>[1], environment);

  const sayCanceling = () => display.notice('canceling; press Ctrl-C again to exit at once');
  signal.addEventListener('abort', sayCanceling, { once: true });
  const source = await sourceOf(prepared, connection, display);
  const request = { ...prepared.request, source, ref, keepFailedSteps: shell !== undefined };
  const build = solve(connection, request, signal);
  const result = build.result.catch((error) => {
    throw asKilnError(error).wrap('failed to solve');
  });
  result.catch(() => {});
  const progress = async function* () {
    yield* build.progress;
    if (loader) yield* loading(connection, (await result).response, loader, signal);
  };
  const warnings = await showProgress(progress(), display, {
    explain: flags.explain,
    trace: trace?.write,
  });
  signal.removeEventListener('abort', sayCanceling);
  const { response } = await result.catch(async (error) => {
    if (!shell || signal.aborted) throw error;
    // The terminal is the shell's.
    display[Symbol.dispose]();
    const { secrets, ssh } = prepared.request;
    return await shell.open(connection, { ref, secrets, ssh }, error);
  });

  if (flags.metadataFile) {
    const metadata = `${JSON.stringify(buildMetadata(response), undefined, 2)}\n`;
    await writeFileAtomically(flags.metadataFile, metadata, '--metadata-file');
  }
  const id = imageId(response);
  if (flags.iidfile && id) await writeFileAtomically(flags.iidfile, id, '--iidfile');
  if (mode === 'quiet') {
    const stdoutIsFree = !prepared.request.outputs.some(
      (output) => output.kind === 'file' && output.destination.kind === 'stdout',
    );
    if (flags.quiet && id && stdoutIsFree) stdout.write(`${id}\n`);
  } else if (mode !== 'rawjson') {
    stderr.write(formatWarnings(warnings, { detailed: context.debug }));
    if (prepared.request.outputs.length === 0) {
      stderr.write(
        'The result stays in the build cache only. Give it a name with --tag, or take it out with --output.\n',
      );
    }
  }
}

/** What is built: as the request says, or what a build file makes of it. */
async function sourceOf(
  { request, buildFile }: PreparedRequest,
  connection: Connection,
  display: Display,
): Promise<SolveRequest['source']> {
  const { source } = request;
  if (buildFile === undefined || source.kind !== 'frontend') return source;
  const { buildFileSource } = await import('../build-file-source.ts');
  const onOutput = (text: string) => display.notice(printableLines(text));
  return (await buildFileSource(connection, buildFile, source.options, onOutput)).source;
}

/** Where `--load` leads: found before anything is built. */
async function loaderOf(
  { load, loadInto }: BuildFlags,
  { environment, signal }: CommandContext,
): Promise<Loader | undefined> {
  if (!load && loadInto === undefined) return undefined;
  const { findLoader } = await import('../../loader/find-loader.ts');
  const { parseLoad } = await import('../options/values/parse-load.ts');
  return await findLoader(loadInto === undefined ? {} : parseLoad(loadInto), environment, signal);
}

async function* loading(
  connection: Connection,
  response: Readonly<Record<string, string>>,
  loader: Loader,
  signal: AbortSignal,
): AsyncGenerator<SolveStatus> {
  const { forgetDangling, loadImage } = await import('../load-built-image.ts');
  try {
    yield* localVertex(`loading into ${loader.name}`, (progress) =>
      loadImage(connection, response, loader, { signal, progress }),
    );
  } finally {
    await forgetDangling(connection, response, danglingName);
  }
}

async function openTrace(
  path: string,
): Promise<AsyncDisposable & { readonly write: (status: SolveStatus) => void }> {
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 });
  const failure = new Promise<never>((_, reject) => {
    stream.once('error', (error) => reject(asKilnError(error).wrap(`cannot write --trace ${path}`)));
  });
  failure.catch(() => {});
  await Promise.race([failure, new Promise((resolve) => stream.once('open', resolve))]);
  return {
    write: (status) => stream.write(`${JSON.stringify(solveStatusToGoJson(status))}\n`),
    async [Symbol.asyncDispose]() {
      await Promise.race([failure, new Promise<void>((resolve) => stream.end(resolve))]);
    },
  };
}
