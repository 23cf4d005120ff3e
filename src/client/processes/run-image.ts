import { randomBytes } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import { Control } from '../../api/gen/control_pb.js';
import { LLBBridge } from '../../api/gen/gateway_pb.js';
import { Containers } from '../../api/gen/kiln_containers_pb.js';
import { Images } from '../../api/gen/kiln_images_pb.js';
import { platformToMessage } from '../../api/platform-message.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { formatPlatform, hostPlatform, type Platform } from '../../base/platform.ts';
import { authService } from '../../client-services/auth-service.ts';
import { healthService } from '../../client-services/health-service.ts';
import { image as imageSource } from '../../llb/builder/source-states.ts';
import { toDefinition } from '../../llb/builder/to-definition.ts';
import { encodeDefinition } from '../../llb/wire/definition-wire.ts';
import { type ContainerConfig, parseImageConfig } from '../../oci/image-config.ts';
import { formatReference, parseReference, repositoryName, withDefaultTag } from '../../oci/reference.ts';
import { createServiceHost } from '../../session/service-host.ts';
import { buildHeader } from '../ask.ts';
import type { Connection } from '../connection.ts';
import { endsSoon } from '../solve.ts';
import type { SolveStatus } from '../solve-status.ts';
import { solveStatusFromWire } from '../solve-status-from-wire.ts';
import { type ProcessUser, RequestQueue, talkToProcess } from './talk-to-process.ts';

export interface ImageRun {
  /** A name, or `sha256:…` of an image that the engine keeps. */
  readonly image: string;
  readonly platform?: Platform;
  /** Ask the registry, even if the image is here. */
  readonly pull: boolean;
  /** Says what to run, given what the image says. */
  readonly process: (config: ContainerConfig) => ImageProcess;
}

export interface ImageProcess {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly hostname: string;
  readonly noNetwork: boolean;
  readonly readonlyRoot: boolean;
  readonly mounts: readonly {
    readonly target: string;
    readonly source: string;
    readonly readonly: boolean;
  }[];
  readonly terminal?: { readonly rows: number; readonly columns: number };
}

/** The other side of the process. */
export interface RunIo extends ProcessUser {
  /** What happens before the process starts. */
  progress(status: SolveStatus): void;
}

/**
 * Runs a process on an image, in a container of the engine that leaves nothing. Returns the exit code. Throws what keeps the process from
 * running. Aborting `signal` ends it at once.
 */
export async function runImage(
  connection: Connection,
  run: ImageRun,
  io: RunIo,
  signal: AbortSignal,
): Promise<{ readonly code: number; readonly outOfMemory: boolean }> {
  const ref = randomBytes(16).toString('hex');
  const session = randomBytes(16).toString('hex');
  const services = createServiceHost([healthService(), authService()]);
  await using attached = await connection.attachSession(
    services,
    { id: session, name: '', sharedKey: '' },
    signal,
  );
  const stop = new AbortController();
  const ended = AbortSignal.any([attached.closed, signal, stop.signal]);
  const control = createClient(Control, connection.transport);
  const solved = control.solve({ ref, session, internal: true }, { signal: ended });
  // What keeps the build from starting is told by the calls that need it.
  let refusal: unknown;
  solved.catch((error) => {
    refusal ??= error;
  });
  const watching = new AbortController();
  const watched = watch(control, ref, io, AbortSignal.any([ended, watching.signal]));
  try {
    const call = { headers: { [buildHeader]: ref }, signal: ended };
    const bridge = createClient(LLBBridge, connection.transport);
    const name = await nameOf(connection, run.image, ended);
    const platform = run.platform ?? hostPlatform();
    const resolved = await bridge.resolveImageConfig(
      {
        ref: name,
        platform: platformToMessage(platform),
        resolveMode: run.pull ? 'pull' : 'default',
        logName: `load metadata for ${name}`,
      },
      call,
    );
    const { config } = parseImageConfig(resolved.config, `${name}: image config`);
    const process = run.process(config);
    const definition = encodeDefinition(toDefinition(imageSource(resolved.ref, { platform })));
    const { result } = await bridge.solve({ definition, evaluate: true, allowResultReturn: true }, call);
    const tree = result?.result.case === 'ref' ? result.result.value.id : '';
    const queue = new RequestQueue();
    const start = {
      case: 'start' as const,
      value: {
        ...process,
        env: [...process.env],
        args: [...process.args],
        mounts: process.mounts.map((mount) => ({ ...mount })),
        build: ref,
        ref: tree,
        platform: formatPlatform(platform),
        input: io.input !== undefined,
      },
    };
    watching.abort();
    await watched;
    const answers = createClient(Containers, connection.transport).run(queue.messages(start), {
      signal: ended,
    });
    const exit = await talkToProcess(answers, queue, io);
    await bridge.return({ result: { result: { case: 'ref', value: {} } } }, call);
    await solved;
    return exit;
  } catch (error) {
    if (signal.aborted) throw asKilnError(signal.reason);
    if (await endsSoon(attached.closed, asKilnError(error))) {
      throw new KilnError('unavailable', 'the connection to the build engine was lost', { cause: error });
    }
    throw asKilnError(refusal !== undefined && asKilnError(error).code === 'not_found' ? refusal : error);
  } finally {
    stop.abort(new KilnError('canceled', 'the run has ended'));
    await Promise.allSettled([solved, watched]);
  }
}

/** What a kept image of a digest is called; other names are taken as they are. */
async function nameOf(connection: Connection, text: string, signal: AbortSignal): Promise<string> {
  if (!/^sha256:/.test(text)) return formatReference(withDefaultTag(parseReference(text)));
  const images = createClient(Images, connection.transport);
  const { name, target } = await images.inspect({ name: text }, { signal });
  return `${repositoryName(parseReference(name))}@${target?.digest}`;
}

async function watch(
  control: ReturnType<typeof createClient<typeof Control>>,
  ref: string,
  io: RunIo,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const response of control.status({ ref }, { signal })) {
      io.progress(solveStatusFromWire(response));
    }
  } catch {
    // What fails is told by the calls that need it.
  }
}
