/** Runs a build file: the request comes on standard input, what comes of it goes to standard output. See `messages.ts`. */
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { pathToFileURL } from 'node:url';
import { digestOf } from '../base/digest.ts';
import { BuildFile } from '../frontend-kit/build-file.ts';
import { createFrontend } from '../frontend-kit/create-frontend.ts';
import { type SourceLocation, withSourceLines } from '../llb/llb.ts';
import { platformFromJson } from '../oci/platform-json.ts';
import { exportedTargets } from './exported-targets.ts';
import { type FailureContext, failureOf, nameOfScript } from './failure-of.ts';
import { FrameReader, frameOf } from './frames.ts';
import { lockDown } from './lock-down.ts';
import type { BuildFileRequest, ChildMessage, ParentMessage, SourceText } from './messages.ts';
import { ParentBridge } from './parent-bridge.ts';
import { readScript } from './read-script.ts';

Error.stackTraceLimit = 50;
const exit = process.exit.bind(process);
const input = new Socket({ fd: 0, readable: true, writable: false });
let bridge: ParentBridge | undefined;
let context: Omit<FailureContext, 'question' | 'otherwise'> | undefined;
/** What is under way, and where it is written: for what does not say where it went wrong. */
let doing: { readonly what: string; readonly place: SourceLocation | undefined } = {
  what: '',
  place: undefined,
};
let ended = false;

/** Writes all of it at once: the process may be about to end, or to run without end. */
function send(message: ChildMessage): void {
  const frame = frameOf(message);
  for (let at = 0; at < frame.length; ) {
    try {
      at += writeSync(1, frame, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

function end(message: ChildMessage): void {
  if (!ended) send(message);
  ended = true;
  exit(0);
}

function sourceAt(place: SourceLocation | undefined): SourceText | undefined {
  if (!place) return undefined;
  const { filename, data } = place.file;
  return { filename, data: Buffer.from(data).toString('base64'), ranges: place.ranges };
}

function failWith(error: unknown): void {
  if (!context) throw error;
  const failure = failureOf(error, {
    ...context,
    question: bridge?.questionOf(error),
    otherwise: sourceAt(doing.place),
  });
  end({ kind: 'failure', failure });
}

async function run(request: BuildFileRequest): Promise<void> {
  const { file, name, directory, options, sessionId } = request;
  context = { directory, file, name };
  const workers = request.workers.map(({ platforms, ...worker }) => ({
    ...worker,
    platforms: platforms.flatMap((each) => platformFromJson(each) ?? []),
  }));
  const waiting = (isWaiting: boolean) => void (isWaiting ? input.ref() : input.unref());
  bridge = new ParentBridge({ workers, sessionId, send, waiting });
  // With nothing left that could go on, the process ends by itself.
  input.unref();
  const data = readScript(file) ?? Buffer.alloc(0);
  const buildFile = new BuildFile({ filename: name, language: 'TypeScript', data }, digestOf(''));
  const script = pathToFileURL(file).href;
  doing = { what: `${name} did not finish loading`, place: undefined };
  process.on('exit', () => {
    if (ended) return;
    const { what, place } = doing;
    const message = `${what}: it waits for what never comes, or ended the process; expected a state, an image or a directory`;
    ended = true;
    send({
      kind: 'failure',
      failure: { code: 'failed_precondition', message, source: sourceAt(place) },
    });
  });
  lockDown(directory);
  send({ kind: 'ready' });
  try {
    const result = await withSourceLines(
      async () => {
        const exported = (await import(script)) as Readonly<Record<string, unknown>>;
        const definition = exportedTargets(exported, buildFile, (what, place) => {
          doing = { what, place };
        });
        const frontend = createFrontend({ ...definition, file: buildFile });
        return await frontend.solve(
          bridge!,
          { options, inputs: new Map(), sessionId },
          new AbortController().signal,
        );
      },
      {
        read: (path) => readScript(path),
        filename: (path) => nameOfScript(path, directory, file, name),
        of: (path) => nameOfScript(path, directory, file, name) !== path,
      },
    );
    end({ kind: 'result', result: bridge.numbered(result) });
  } catch (error) {
    failWith(error);
  }
}

const frames = new FrameReader();
input.on('data', (chunk: Buffer) => {
  for (const message of frames.read(chunk)) {
    if (bridge) bridge.answered(message as ParentMessage);
    else void run(message as BuildFileRequest);
  }
});
input.on('end', () => exit(1));
process.on('uncaughtException', failWith);
