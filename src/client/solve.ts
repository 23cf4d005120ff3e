import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, createClient } from '@connectrpc/connect';
import { Control } from '../api/gen/control_pb.js';
import { type AwakeTimeout, awakeTimeout } from '../base/async/awake-timeout.ts';
import { abortable, throwIfAborted } from '../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { Definition } from '../llb/op.ts';
import { encodeDefinition } from '../llb/wire/definition-wire.ts';
import { type Answer, ask } from './ask.ts';
import type { Connection } from './connection.ts';
import { withMountsDigest } from './mounts-digest.ts';
import { recordLayouts } from './record-layouts.ts';
import { openSessionHost } from './session-host.ts';
import { sharedKey } from './shared-key.ts';
import type { Output, RemoteCache, SolveRequest } from './solve-request.ts';
import type { SolveStatus } from './solve-status.ts';
import { solveStatusFromWire } from './solve-status-from-wire.ts';

/** What the exporters and remote caches tell about the result, for example `containerimage.digest`. */
export interface SolveResult {
  readonly response: Readonly<Record<string, string>>;
  /** The answer to a question; empty for what is built. */
  readonly answer: ReadonlyMap<string, Uint8Array>;
}

/** A build that goes on. */
export interface Solve {
  /** Identifies the build at the daemon. */
  readonly ref: string;
  /**
   * The events of the build, from the moment that iteration begins until the last one; can be iterated once. Goes on after a
   * cancellation, as long as the daemon tells how it winds down.
   */
  readonly progress: AsyncIterable<SolveStatus>;
  /** Rejects with what made the build fail, or with the signal's reason. */
  readonly result: Promise<SolveResult>;
}

/** Kiln's own; others ignore it. */
const keepFailedStepsHeader = 'x-kiln-keep-failed-steps';

/** How long the daemon may be silent after the end of a build before its progress counts as complete, in milliseconds. */
const finalSilence = 3_000;

/** How much later than a call the session may notice that the connection is gone, in milliseconds. */
const noticeTime = 200;

/** Starts a build. Aborting `signal` cancels it at the daemon. */
export function solve(connection: Connection, request: SolveRequest, signal?: AbortSignal): Solve {
  const ref = request.ref ?? randomBytes(16).toString('hex');
  const control = createClient(Control, connection.transport);
  const result = run(connection, control, { ...request, ref }, signal);
  result.catch(() => {});
  return { ref, progress: progressOf(control, ref, result), result };
}

async function run(
  connection: Connection,
  control: Client<typeof Control>,
  request: SolveRequest & { readonly ref: string },
  signal: AbortSignal | undefined,
): Promise<SolveResult> {
  throwIfAborted(signal);
  const sessionId = randomBytes(16).toString('hex');
  await using host = await openSessionHost(request);
  await using session = await connection.attachSession(
    host.services,
    { id: sessionId, name: '', sharedKey: sharedKey(request.locals) },
    signal,
  );
  const ended = AbortSignal.any([session.closed, ...(signal ? [signal] : [])]);
  const { source } = request;
  const asking = new AbortController();
  const asked = driven(connection, request, {
    sessionId,
    imports: host.cacheImports,
    signal: AbortSignal.any([ended, asking.signal]),
  });
  let refusal: unknown;
  asked.catch((error) => {
    refusal ??= error;
  });
  try {
    const cacheExports = await Promise.all(
      request.cacheExports.map((each) =>
        each.attributes.mounts === undefined ? each : withMountsDigest(each),
      ),
    );
    const response = await control.solve(
      {
        ref: request.ref,
        session: sessionId,
        definition: source.kind === 'definition' ? encodeDefinition(source.definition) : undefined,
        frontend: source.kind === 'frontend' ? source.frontend : '',
        frontendInputs: source.kind === 'frontend' ? encodeInputs(source.inputs) : {},
        frontendAttrs: engineOptions(source, host.cacheImports),
        exporters: request.outputs.map(wireExporter),
        oldExporter: request.outputs[0]?.exporter ?? '',
        oldExporterAttrs: request.outputs[0]?.attributes ?? {},
        cache: {
          exports: cacheExports.map(wireCache),
          imports: host.cacheImports.map(wireCache),
        },
        entitlements: [...request.entitlements],
        sourcePolicy: request.sourcePolicy,
        sourcePolicySession: request.decideSource ? sessionId : '',
        proxyNetwork: request.proxyNetwork,
      },
      {
        signal: ended,
        headers: request.keepFailedSteps ? { [keepFailedStepsHeader]: 'true' } : undefined,
      },
    );
    await host.finish();
    await recordLayouts(request, response.exporterResponse);
    return { response: response.exporterResponse, answer: await asked };
  } catch (error) {
    throwIfAborted(signal);
    if (refusal !== undefined) throw asKilnError(refusal);
    const sinkFailure = host.failure;
    if (sinkFailure) throw sinkFailure;
    if (await endsSoon(session.closed, asKilnError(error))) {
      throw new KilnError('unavailable', 'the connection to the build engine was lost', { cause: error });
    }
    throw asKilnError(error);
  } finally {
    asking.abort();
  }
}

/** Drives a build that has neither a frontend nor a definition. */
async function driven(
  connection: Connection,
  { source, ref }: SolveRequest & { readonly ref: string },
  {
    sessionId,
    imports,
    signal,
  }: {
    readonly sessionId: string;
    readonly imports: readonly RemoteCache[];
    readonly signal: AbortSignal;
  },
): Promise<Answer> {
  switch (source.kind) {
    case 'question':
      return await ask(connection.transport, ref, source.ask, signal);
    case 'driven':
      await source.drive({ ref, sessionId, signal, options: frontendOptions(source.options ?? {}, imports) });
      return new Map();
    default:
      return new Map();
  }
}

function encodeInputs(inputs: ReadonlyMap<string, Definition> = new Map()): Record<string, Uint8Array> {
  return Object.fromEntries([...inputs].map(([name, input]) => [name, encodeDefinition(input)]));
}

/** Whether a call failed because the connection did: the call may notice a moment earlier than the session. */
export async function endsSoon(closed: AbortSignal, error: KilnError): Promise<boolean> {
  if (closed.aborted) return true;
  if (error.code !== 'canceled' && error.code !== 'unavailable') return false;
  await sleep(noticeTime, undefined, { signal: closed }).catch(() => {});
  return closed.aborted;
}

function engineOptions(
  source: SolveRequest['source'],
  imports: readonly RemoteCache[],
): Record<string, string> {
  switch (source.kind) {
    case 'frontend':
      return frontendOptions(source.options, imports);
    case 'definition':
    case 'driven':
      return { ...source.options };
    case 'question':
      return {};
  }
}

/** Frontends look for remote caches too, before any definition exists. */
function frontendOptions(
  options: Readonly<Record<string, string>>,
  imports: readonly RemoteCache[],
): Record<string, string> {
  if (imports.length === 0) return { ...options };
  const entries = imports.map(({ type, attributes }) => ({ Type: type, Attrs: attributes }));
  return { ...options, 'cache-imports': JSON.stringify(entries) };
}

function wireExporter({ exporter, attributes }: Output) {
  return { type: exporter, attrs: { ...attributes } };
}

function wireCache({ type, attributes }: RemoteCache) {
  return { type, attrs: { ...attributes } };
}

async function* progressOf(
  control: Client<typeof Control>,
  ref: string,
  result: Promise<SolveResult>,
): AsyncGenerator<SolveStatus> {
  const stop = new AbortController();
  let settled = false;
  let quiet: AwakeTimeout | undefined;
  /** What is left of the progress comes soon after the result, or not at all. */
  const awaitMore = () => {
    quiet?.[Symbol.dispose]();
    quiet = awakeTimeout(finalSilence);
    quiet.signal.addEventListener('abort', () => stop.abort(), { once: true });
  };
  const settle = () => {
    settled = true;
    if (!stop.signal.aborted) awaitMore();
  };
  result.then(settle, settle);
  try {
    for await (const response of control.status({ ref }, { signal: stop.signal })) {
      if (settled) awaitMore();
      yield solveStatusFromWire(response);
    }
  } catch (error) {
    // A build that ends before its first event has no status; and what ended it is the result's to tell.
    if (settled || stop.signal.aborted) return;
    using grace = awakeTimeout(finalSilence);
    await abortable(result, grace.signal).catch(() => {});
    if (!settled) throw asKilnError(error).wrap('the progress of the build is lost');
  } finally {
    stop.abort();
    quiet?.[Symbol.dispose]();
  }
}
